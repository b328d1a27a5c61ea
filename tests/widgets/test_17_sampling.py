import re

import numpy as np
import pytest

from numpygpt.checkpoint import load_model
from numpygpt.nn.functional import softmax


@pytest.fixture
def panel(widget):
    return widget("17_sampling")


@pytest.fixture
def probabilities():
    """What the model gives to each character after `text`, the likeliest first."""
    model, tokenizer, _ = load_model("../data/checkpoints/shakespeare_char/checkpoint.npz")
    return lambda text: np.sort(softmax(model(np.array([tokenizer.encode(text)])))[0, -1])[::-1]


def heights(figure, label):
    bars = next(c for c in figure.axes[0].containers if c.get_label() == label)
    return np.array([bar.get_height() for bar in bars])


def left(figure):
    return int(re.match(r"\d+", figure.axes[0].get_title())[0])


def test_top_k_leaves_k_bars_that_sum_to_one(panel):
    figure = panel.move(temperature=1.0, top_p=1.0, top_k=4)
    kept = heights(figure, "to draw from")
    assert left(figure) == 4 and (kept > 0).sum() == 4
    np.testing.assert_allclose(kept.sum(), 1)


def test_top_p_leaves_as_many_as_its_mass_needs(panel, probabilities):
    figure = panel.move(temperature=1.0, top_k=63, top_p=0.6)
    expected = int(np.searchsorted(np.cumsum(probabilities("ROMEO:\nI ")), 0.6)) + 1
    assert left(figure) == expected


def test_temperature_raises_ratios_to_its_inverse(panel, probabilities):
    figure = panel.move(top_k=63, top_p=1.0, temperature=2.0)
    p, kept = heights(figure, "the model's"), heights(figure, "to draw from")
    np.testing.assert_allclose(kept[0] / kept[1], np.sqrt(p[0] / p[1]), rtol=1e-9)
    np.testing.assert_allclose(p, probabilities("ROMEO:\nI ")[:20], rtol=1e-4)


def test_another_prompt_gives_another_distribution(panel, probabilities):
    figure = panel.move(prompt="What say'st t")
    p = heights(figure, "the model's")
    np.testing.assert_allclose(p, probabilities("What say'st t")[:20], rtol=1e-4)
    assert panel.move(prompt="中") is not None  # a character that the model does not know
