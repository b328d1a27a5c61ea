import numpy as np
import pytest

from numpygpt.nn import Linear


@pytest.fixture
def panel(widget):
    return widget("04_activations")


def highest(push, size):
    """The same 50 units by themselves: their highest pre-activation over the wave's inputs."""
    first = Linear(1, 50, rng=np.random.default_rng(4), dtype=np.float64)
    x = np.linspace(-3, 3, 200)[:, None]
    return (x * size @ first.W + first.b - push).max(axis=0)


def slopes(figure, name):
    line = next(line for line in figure.axes[1].lines if line.get_label() == name)
    return line.get_xdata(), line.get_ydata()


@pytest.mark.parametrize(("push", "size"), [(0, 3), (2, 1), (2, 3), (4, 0.2)])
def test_the_histogram_holds_fifty_units_and_the_title_counts_the_dead(panel, push, size):
    figure = panel.move(push=push, size=size)
    expected = highest(push, size)
    assert sum(bar.get_height() for bar in figure.axes[0].containers[0]) == 50
    assert f" {np.sum(expected <= 0)} of 50 are dead" in figure.axes[0].get_title()
    np.testing.assert_allclose(slopes(figure, "ReLU")[0], expected, atol=1e-12)


def test_a_dead_relu_passes_nothing_and_a_gelu_far_below_almost_nothing(panel):
    figure = panel.move(push=4, size=0.2)
    assert not slopes(figure, "ReLU")[1].any()
    assert 0 < slopes(figure, "GELU")[1].max() < 1e-3
    relu = slopes(panel.move(push=0, size=1), "ReLU")[1]
    assert relu.all() and relu.max() <= 1
