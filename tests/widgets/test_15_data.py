import pytest
from boxes import boxes, letters

TEXT = "First Citizen: speak, speak"


@pytest.fixture
def panel(widget):
    return widget("15_data")


def test_y_is_x_one_token_later(panel):
    figure = panel.move(start=6, block_size=7)
    assert letters(figure, 0) == TEXT
    assert letters(figure, 1).strip() == TEXT[6:13]
    assert letters(figure, 2).strip() == TEXT[7:14].strip()
    assert [x for x, _, _ in boxes(figure, 1)] == list(range(6, 13))
    assert [x for x, _, _ in boxes(figure, 2)] == list(range(7, 14))


@pytest.mark.parametrize("block_size", [1, 8, 16])
def test_the_first_grey_box_comes_one_start_after_the_last_that_fits(panel, block_size):
    last = len(TEXT) - block_size - 1
    figure = panel.move(block_size=block_size, start=last)
    assert not any(grey for _, _, grey in boxes(figure, 1) + boxes(figure, 2))
    assert figure.axes[0].get_title().endswith(f"{last} is one")
    if last < 25:  # where the slider ends
        figure = panel.move(start=last + 1)
        assert [grey for _, _, grey in boxes(figure, 2)].count(True) == 1
        assert figure.axes[0].get_title().endswith("too late")
