import numpy as np
import pytest


@pytest.fixture
def panel(widget):
    return widget("09_layernorm")


def points(figure, side):
    """Where the 300 points are on paper, before (0) or after (1) LayerNorm."""
    return np.concatenate([line.get_xydata() for line in figure.axes[side].lines[:2]])


def means(figure):
    return np.array([float(ax.get_title().split()[-1]) for ax in figure.axes])


def radii(figure):
    return np.linalg.norm(points(figure, 1), axis=1)


def test_a_shift_moves_no_point_and_changes_the_mean_of_the_cloud_alone(panel):
    figure = panel.move(shift=0.0)
    before, after, old = points(figure, 0), points(figure, 1), means(figure)
    figure = panel.move(shift=2.5)
    np.testing.assert_allclose(points(figure, 0), before, atol=1e-12)
    np.testing.assert_allclose(points(figure, 1), after, atol=1e-12)
    assert len(before) == 300
    np.testing.assert_allclose(means(figure), old + [2.5, 0], atol=0.011)


def test_a_large_eps_draws_small_points_inside_the_circle(panel):
    np.testing.assert_allclose(radii(panel.move(size=1.0, eps=1e-5)), np.sqrt(3), rtol=0.05)
    assert radii(panel.move(size=0.01, eps=10.0)).max() < 0.05


def test_the_size_of_the_cloud_is_forgotten(panel):
    large = panel.move(size=1.0, eps=1e-5)
    small = panel.move(size=0.1)
    np.testing.assert_allclose(points(small, 0), points(large, 0) / 10, rtol=1e-9)
    apart = np.linalg.norm(points(small, 1) - points(large, 1), axis=1)
    assert np.median(apart) < 0.01 and np.mean(apart < 0.2) > 0.98  # eps is seen by the smallest
