import numpy as np
import pytest


@pytest.fixture
def panel(widget):
    return widget("10_attention")


def matrices(figure):
    """Scores, masked scores and weights, as drawn; what is masked is left out."""
    return [np.ma.masked_invalid(axes.images[0].get_array()) for axes in figure.axes[:3]]


def test_the_mask_hides_the_upper_triangle_and_leaves_the_last_row(panel):
    scores, masked, weights = matrices(panel.move(mask=True))
    above = np.triu_indices(6, 1)
    assert masked.mask[above].all() and masked.mask.sum() == 15
    assert not weights[above].any()
    open_scores, open_masked, open_weights = matrices(panel.move(mask=False))
    assert not open_masked.mask.any() and (open_weights[above] > 0).all()
    np.testing.assert_allclose(open_weights[-1], weights[-1])
    np.testing.assert_allclose(open_scores, scores)


@pytest.mark.parametrize("mask", [True, False])
def test_every_row_of_weights_sums_to_one(panel, mask):
    np.testing.assert_allclose(matrices(panel.move(mask=mask))[2].sum(axis=1), 1)


def test_dividing_makes_the_scores_smaller_by_the_root_of_D(panel):
    raw = matrices(panel.move(D=64, divide=False))[0]
    np.testing.assert_allclose(matrices(panel.move(divide=True))[0], raw / 8)


def test_without_dividing_words_that_stand_alone_read_from_themselves(panel):
    weights = matrices(panel.move(D=16, divide=False, mask=True))[2]
    np.testing.assert_allclose(np.diag(weights)[:4], 1, atol=0.03)
    assert matrices(panel.move(D=2))[2][1, 1] < 0.99
