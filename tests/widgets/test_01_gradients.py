import numpy as np
import pytest


def line(axes, label):
    return next(one for one in axes.lines if one.get_label() == label)


def slope(axes, label):
    (left, right), (low, high) = line(axes, label).get_data()
    return (high - low) / (right - left)


@pytest.mark.parametrize("exponent", [-1.0, -2.0])
def test_the_secants_have_the_slopes_of_the_step_that_is_set(widget, exponent):
    left, _ = widget("01_gradients").move(**{"log10 eps": exponent}).axes
    x, eps = 1.3, 10.0**exponent
    np.testing.assert_allclose(slope(left, "tangent"), 3 * x**2)
    # (x + ε)³ = x³ + 3 x² ε + 3 x ε² + ε³: what is left over on one side, and on both
    np.testing.assert_allclose(slope(left, "one side"), 3 * x**2 + 3 * x * eps + eps**2)
    np.testing.assert_allclose(slope(left, "central"), 3 * x**2 + eps**2)


def test_the_dots_sit_at_the_errors_of_the_step(widget):
    _, right = widget("01_gradients").move(**{"log10 eps": -2.0}).axes
    dots = [one.get_data() for one in right.lines if one.get_marker() == "o"]
    expected = [3 * 1.3 * 1e-2 + 1e-4, 1e-4]
    np.testing.assert_allclose([x for (x,), _ in dots], 1e-2)
    np.testing.assert_allclose([y for _, (y,) in dots], expected, rtol=1e-6)


def test_the_smallest_step_gives_a_staircase(widget):
    panel = widget("01_gradients")
    stairs = {}
    for exponent in (-16.0, -15.0, -5.0):
        left, _ = panel.move(**{"log10 eps": exponent}).axes
        stairs[exponent] = len(np.unique(line(left, "$x^3$").get_ydata()))
    assert stairs[-16.0] < stairs[-15.0] < 50 < stairs[-5.0]
