import numpy as np
import pytest


@pytest.fixture
def panel(widget):
    return widget("06_optimizers")


def path(figure):
    return figure.axes[0].lines[0].get_xydata()


def lengths(figure):
    """The length of each step along both axes, over lr: (60, 2)."""
    return np.array([line.get_ydata() for line in figure.axes[1].lines]).T


def test_without_the_correction_the_first_step_is_root_ten_times_too_long(panel):
    expected = 0.1 / np.sqrt(0.001)  # (1 - beta1) g over the root of (1 - beta2) g²
    np.testing.assert_allclose(lengths(panel.move(correction=False))[0], expected, rtol=1e-6)
    np.testing.assert_allclose(lengths(panel.move(correction=True))[0], 1, rtol=1e-6)


def test_with_both_betas_zero_every_step_has_the_length_of_the_rate(panel):
    figure = panel.move(correction=True, lr=0.55, beta1=0.0, beta2=0.0)
    np.testing.assert_allclose(lengths(figure), 1, rtol=1e-6)
    np.testing.assert_allclose(path(figure)[1] - path(figure)[0], [0.55, -0.55], rtol=1e-6)


def test_less_momentum_overshoots_less(panel):
    furthest = [path(panel.move(correction=True, beta1=b))[:, 0].max() for b in (0.95, 0.9, 0.5)]
    assert furthest[0] > furthest[1] > 1 > 0.1 > furthest[2]


def test_the_second_beta_changes_the_path(panel):
    slow = path(panel.move(correction=True, beta2=0.999))
    assert np.abs(slow - path(panel.move(beta2=0.9))).max() > 0.5
