import numpy as np


def pushes(figure):
    return [bar.get_height() for bar in figure.axes[1].patches]


def heights(figure):
    return [bar.get_height() for bar in figure.axes[0].patches]


def test_dragging_a_logit_moves_both_sets_of_bars(widget):
    panel = widget("05_softmax_cross_entropy")
    figure = panel.move(**{f"logit {i}": 0.0 for i in range(5)})
    np.testing.assert_allclose(heights(figure), 0.2)
    np.testing.assert_allclose(pushes(figure), [-0.2, -0.2, 0.8, -0.2, -0.2])

    figure = panel.move(**{"logit 1": 6.0})
    e = np.exp(6.0)
    np.testing.assert_allclose(heights(figure)[1], e / (e + 4))
    np.testing.assert_allclose(sum(pushes(figure)), 0, atol=1e-12)


def test_another_target_turns_its_bar_up(widget):
    panel = widget("05_softmax_cross_entropy")
    figure = panel.move(target=4)
    assert [push > 0 for push in pushes(figure)] == [False, False, False, False, True]
