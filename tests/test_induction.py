"""The growth of induction heads: what chapter 26 draws is what benchmarks/induction.py measures."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from numpygpt import gradcheck
from numpygpt.checkpoint import load_checkpoint, part
from numpygpt.nn.functional import log_softmax

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

import induction  # noqa: E402

RUNS = json.loads((ROOT / "data/induction.json").read_text("utf-8"))["runs"]
HELD_OUT = induction.repeats(128, np.random.default_rng(1_000_000))


def test_the_texts_repeat_after_their_period_and_no_earlier():
    ids, periods = HELD_OUT
    assert ids.shape == (128, 57) and {8, 28} <= set(periods.ravel()) <= set(range(8, 29))
    for text, (period,) in zip(ids, periods, strict=True):
        assert (text[period:] == text[:-period]).all()
        assert not any((text[p:] == text[:-p]).all() for p in range(1, period))


def test_two_blocks_grow_an_induction_head_from_every_seed_and_one_block_does_not():
    assert sorted((run["layers"], run["seed"]) for run in RUNS) == [
        (layers, seed) for layers in (1, 2) for seed in range(5)
    ]
    for run in RUNS:
        best = np.array(run["induction"])
        reached = [s for s, value in zip(run["step"], best, strict=True) if value >= 0.5]
        assert run["half"] == (reached[0] if reached else None)
        assert best[0] < 0.05 and run["right"][0] < 0.1
        if run["layers"] == 1:
            assert best.max() < 0.1 and max(run["right"]) < 0.2
        else:
            assert best[-1] >= 0.5 and run["right"][-1] > 0.95


def test_the_kept_model_is_that_of_the_first_seed():
    arrays, meta = load_checkpoint(ROOT / "data/checkpoints/induction/checkpoint.npz")
    model = induction.attention_only(2, np.random.default_rng(0), np.float64)
    model.load_params(part(arrays, "model."))
    (run,) = (run for run in RUNS if (run["layers"], run["seed"]) == (2, 0))
    for name, value in induction.measure(model, *HELD_OUT).items():
        assert value == pytest.approx(run[name][-1], abs=1e-3), name
    assert meta["model"]["n_layer"] == 2 and meta["seed"] == 0


def test_what_is_measured_is_what_a_loop_finds():
    model = induction.attention_only(2, np.random.default_rng(1), np.float64)
    ids, periods = induction.repeats(3, np.random.default_rng(2))
    found = induction.measure(model, ids, periods)
    logits = model(ids[:, :-1])
    log_p, heads = log_softmax(logits), [block.attn.p for block in model.blocks]
    again, first, right = [], [], []
    scores, previous = np.zeros((2, 2)), np.zeros(2)
    for n, (period,) in enumerate(periods):
        for t in range(56):
            loss = -log_p[n, t, ids[n, t + 1]]
            if t >= period:
                again.append(loss)
                right.append(logits[n, t].argmax() == ids[n, t + 1])
                assert ids[n, t + 1] == ids[n, t - period + 1]
                scores += [[p[n, h, t, t - period + 1] for h in range(2)] for p in heads]
            elif t < period - 1:
                first.append(loss)
            if t:
                previous += [heads[0][n, h, t, t - 1] for h in range(2)]
    assert found == pytest.approx(
        {
            "loss, first time": np.mean(first),
            "loss, again": np.mean(again),
            "right": np.mean(right),
            "induction": scores.max() / len(again),
            "previous": previous.max() / (3 * 55),
        }
    )


def test_the_gradients_are_right_where_the_feed_forward_part_is_missing(monkeypatch):
    for name, value in {"V": 5, "T": 7, "N_EMBD": 4, "N_HEAD": 1}.items():
        monkeypatch.setattr(induction, name, value)
    rng = np.random.default_rng(3)
    model = induction.attention_only(2, rng, np.float64)
    assert not any("ffn" in name or "norm2" in name for name in model.params())
    ids, targets = rng.integers(0, 5, (2, 2, 6))
    gradcheck(model, ids, targets, rng=rng)


def test_a_run_writes_the_curves_and_the_model(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(induction, "STEPS", 2)
    monkeypatch.setattr(induction, "EVERY", 2)
    induction.main(["--out", str(tmp_path), "--seeds", "7"])
    runs = json.loads((tmp_path / "induction.json").read_text("utf-8"))["runs"]
    assert [(run["layers"], run["seed"], run["step"]) for run in runs] == [
        (1, 7, [0, 2]),
        (2, 7, [0, 2]),
    ]
    arrays, meta = load_checkpoint(tmp_path / "checkpoints/induction/checkpoint.npz")
    assert meta["seed"] == 7 and "model.blocks.1.attn.k.W" in arrays
    assert capsys.readouterr().out.count("0.5 at step None") == 2
