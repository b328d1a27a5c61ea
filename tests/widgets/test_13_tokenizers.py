import pytest
from boxes import boxes


@pytest.fixture
def panel(widget):
    return widget("13_tokenizers")


def test_a_character_is_a_box_and_one_that_is_not_in_the_text_is_grey(panel):
    assert boxes(panel.move(line="café"), 0) == [(i, 1, i == 3) for i in range(4)]


def test_words_are_boxes_with_gaps_for_spaces(panel):
    figure = panel.move(line="my lord, unweeded")
    assert boxes(figure, 1) == [(0, 2, False), (3, 4, False), (7, 1, False), (9, 8, True)]


def test_the_labels_count_tokens_and_unknown_ones(panel):
    labels = [t.get_text() for t in panel.move(line="my lord, ünweeded").axes[0].texts]
    assert "characters: 17 tokens, 1 unknown" in labels
    assert "2,000 words: 4 tokens, 1 unknown" in labels


def test_a_gap_is_as_wide_as_the_space_above_it(panel):
    figure = panel.move(line="a\t\u3000b \x1c你 c")
    ends = {left + width for left, width, _ in boxes(figure, 0)}
    for left, width, _ in boxes(figure, 1):
        assert {left, left + width} <= ends | {0}
