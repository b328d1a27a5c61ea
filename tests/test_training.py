"""The training loop: it learns, it repeats itself, it resumes, it stops when the loss is lost."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from numpygpt import GPT, GPTConfig
from numpygpt.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from numpygpt.data import DataError
from numpygpt.metrics import MetricsLog, read_metrics, record_of
from numpygpt.nn import LayerNorm, RMSNorm
from numpygpt.optim import Adam, clip_grad_norm
from numpygpt.training import DivergedError, TrainConfig, Trainer

SMALL = {
    "batch_size": 4,
    "max_iters": 12,
    "warmup_iters": 3,
    "eval_interval": 5,
    "eval_iters": 3,
    "seed": 3,
}
# A text with a rule: each token is the last one plus 1 or 2, so that there is something to learn.
TOKENS = np.cumsum(np.random.default_rng(0).integers(1, 3, 3000)) % 11


def trainer(model=None, n_embd=12, dtype=np.float32, **changes):
    config = TrainConfig(**{**SMALL, **changes})
    shape = GPTConfig(11, 8, 2, 3, n_embd, **(model or {}))
    gpt = GPT(shape, rng=np.random.default_rng([config.seed, 0]), dtype=dtype)
    return Trainer(gpt, TOKENS[:2500], TOKENS[2500:], config)


def without_time(records):
    return [{k: v for k, v in r.items() if k != "tokens_per_s"} for r in records]


def test_it_learns_the_rule_of_the_text():
    records = list(trainer(max_iters=400, lr=1e-2, eval_interval=400).run())
    assert abs(records[0]["train_loss"] - math.log(11)) < 0.05
    # Two continuations are equally likely: ln 2 = 0.693 is the best there is.
    assert 0.67 < records[-1]["val_loss"] < 0.80


def test_records_have_the_documented_fields_and_the_last_is_evaluated():
    records = list(trainer().run())
    assert [r["step"] for r in records] == list(range(1, 13))
    fields = {"step", "train_loss", "lr", "grad_norm", "tokens_per_s"}
    assert all(fields <= r.keys() <= fields | {"val_loss"} for r in records)
    assert [r["step"] for r in records if "val_loss" in r] == [5, 10, 12]
    assert records[2]["lr"] == 2e-3  # the end of the warm-up


def test_the_same_seed_gives_the_same_run_bit_for_bit():
    a, b, other = trainer(), trainer(), trainer(seed=4)
    first = without_time(a.run())
    assert first == without_time(b.run())
    assert first != without_time(other.run())
    for name, p in a.model.params().items():
        np.testing.assert_array_equal(p, b.model.params()[name])
    # The seed is that of the batches, too, not of the weights alone.
    assert (next(trainer().loader)[0] != next(trainer(seed=4).loader)[0]).any()


@pytest.mark.parametrize("grad_clip", [0.1, 0.0])
def test_a_step_is_clip_then_adam_at_the_scheduled_rate(grad_clip):
    options = {"lr": 1e-2, "min_lr": 1e-3, "warmup_iters": 2, "max_iters": 6, "beta1": 0.8,
               "beta2": 0.95, "weight_decay": 0.5, "grad_clip": grad_clip}  # fmt: skip
    ours, by_hand = (trainer(dtype=np.float64, **options) for _ in range(2))
    model = by_hand.model
    adam = Adam(model, betas=(0.8, 0.95), weight_decay=0.5)
    cosine = [1e-3 + (1 + math.cos(math.pi * done / 4)) / 2 * 9e-3 for done in range(4)]
    for rate, record in zip([5e-3, 1e-2, *cosine], ours.run(), strict=True):
        model.zero_grad()
        loss = model(*next(by_hand.loader))[1]
        model.backward()
        norm = clip_grad_norm(model, grad_clip or 1e9)
        assert norm > 0.1  # the clipping has something to do
        adam.lr = rate
        adam.step()
        found = [record[name] for name in ("train_loss", "grad_norm", "lr")]
        np.testing.assert_allclose(found, [loss, norm, rate], rtol=1e-9)
    for name, p in model.params().items():
        np.testing.assert_allclose(ours.model.params()[name], p, rtol=1e-9, atol=1e-12)


def test_how_often_we_evaluate_does_not_change_the_training():
    a, b = trainer(eval_interval=1, eval_iters=7), trainer(eval_interval=12)
    assert [r["train_loss"] for r in a.run()] == [r["train_loss"] for r in b.run()]


def test_an_evaluation_is_the_mean_over_its_batches_and_the_same_every_time():
    t, losses = trainer(), []
    t.val_tokens = np.arange(500) * 3 % 11  # no two tokens of the training text are 3 apart
    forward = t.model.forward

    def watched(x, y):
        assert ((y - x) % 11 == 3).all()
        logits, loss = forward(x, y)
        losses.append(loss)
        return logits, loss

    t.model.forward = watched
    value = t.evaluate()
    assert len(losses) == len(set(losses)) == SMALL["eval_iters"]
    assert value == pytest.approx(np.mean(losses), rel=1e-12)
    assert t.evaluate() == value


def test_the_speed_counts_the_tokens_of_all_batches_of_a_step(monkeypatch):
    clock = iter([10.0, 12.0])  # a step of two seconds
    monkeypatch.setattr("numpygpt.training.time", SimpleNamespace(perf_counter=clock.__next__))
    assert trainer(accumulate=3).step()["tokens_per_s"] == 3 * 4 * 8 / 2


@pytest.mark.parametrize("stopped_after", [0, 1, 5, 11])
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(tmp_path, stopped_after):
    straight = trainer()
    expected = without_time(straight.run())
    first = trainer()
    steps = first.run()
    records = [next(steps) for _ in range(stopped_after)]
    save_checkpoint(tmp_path / "c.npz", *first.state())

    resumed = trainer()
    resumed.load_state(*load_checkpoint(tmp_path / "c.npz"))
    records += resumed.run()
    assert without_time(records) == expected
    arrays, meta = straight.state()
    arrays_again, meta_again = resumed.state()
    assert meta_again == meta
    for name in arrays:
        np.testing.assert_array_equal(arrays[name], arrays_again[name])


def test_accumulated_batches_are_one_big_batch():
    big, small = trainer(dtype=np.float64, batch_size=8), trainer(dtype=np.float64, accumulate=2)

    class TwoHalves:
        """The windows of the big batch, four at a time."""

        def __init__(self, loader):
            self.loader, self.left = loader, []

        def __next__(self):
            if not self.left:
                x, y = next(self.loader)
                self.left = [(x[:4], y[:4]), (x[4:], y[4:])]
            return self.left.pop(0)

    small.loader = TwoHalves(trainer(batch_size=8).loader)
    for a, b in zip(big.run(), small.run(), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-12)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=1e-10)
    for name, p in big.model.params().items():
        np.testing.assert_allclose(p, small.model.params()[name], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(poison):
    t = trainer()
    next(t.run())
    t.model.ln_f.gamma[0] = poison
    before = {name: p.copy() for name, p in t.model.params().items()}
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="step 2: the loss is"):
        t.step()
    for name, p in t.model.params().items():
        np.testing.assert_array_equal(p, before[name])
    assert t.step_count == 1


@pytest.mark.parametrize(("loss", "slope"), [(math.nan, 1.0), (2.0, math.inf)])
def test_a_loss_or_a_gradient_alone_that_is_not_finite_stops_the_run(loss, slope):
    t = trainer()

    def accumulate_gradients():
        t.model.ln_f.dgamma[...] = slope
        return loss

    t.accumulate_gradients = accumulate_gradients
    with pytest.raises(DivergedError, match=f"the loss is {loss:.4g}, the gradient's norm"):
        t.step()


def test_weights_that_are_lost_give_no_state_to_save():
    t = trainer()
    next(t.run())
    t.model.ln_f.beta[1] = np.nan
    with pytest.raises(DivergedError, match="step 1: model.ln_f.beta became infinite or NaN"):
        t.state()


def test_a_validation_loss_that_is_not_finite_ends_the_run():
    t = trainer(eval_interval=1, lr=1e15, warmup_iters=0)  # one step, and far away
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="validation loss is nan"):
        list(t.run())


def test_a_checkpoint_of_another_shape_is_refused():
    arrays, meta = trainer(n_embd=6).state()
    with pytest.raises(CheckpointError, match="another shape"):
        trainer().load_state(arrays, meta)


def test_a_checkpoint_without_a_run_in_it_is_refused():
    arrays, meta = trainer().state()
    without_optimizer = {n: a for n, a in arrays.items() if not n.startswith("optimizer.")}
    without_rng = {n: value for n, value in meta.items() if n != "rng"}
    for bad in (
        ({}, meta),
        (without_optimizer, meta),
        (arrays, without_rng),
        (arrays, {**meta, "rng": None}),
        (arrays, {**meta, "rng": {"bit_generator": "MT19937"}}),
    ):
        with pytest.raises(CheckpointError, match="holds no run to go on with"):
            trainer().load_state(*bad)


def test_a_validation_text_too_short_for_a_window_is_refused_before_the_first_step():
    with pytest.raises(DataError, match="8 tokens are too few for a window of block_size=8"):
        Trainer(trainer().model, TOKENS, TOKENS[:8], TrainConfig())


def test_looking_at_the_validation_text_draws_no_batch_of_the_training():
    t = trainer()
    rng = np.random.default_rng([SMALL["seed"], 1])
    assert t.rng.bit_generator.state == rng.bit_generator.state


@pytest.mark.parametrize("cls", [LayerNorm, RMSNorm])
def test_a_norm_whose_eps_numpy_computed_keeps_float32(cls):
    for eps in (np.float64(1e-5), np.float32(1e-5), np.array(1e-5)):
        norm = cls(6, eps=eps)
        x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
        y = norm(x)
        assert y.dtype == norm.backward(y).dtype == norm.dgamma.dtype == np.float32
        np.testing.assert_array_equal(y, cls(6, eps=float(eps))(x))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("max_iters", 0),
        ("lr", float("nan")),
        ("lr", -1.0),
        ("min_lr", -1e-4),
        ("warmup_iters", -1),
        ("beta1", -0.1),
        ("beta2", 1.0),
        ("weight_decay", -0.1),
        ("grad_clip", float("inf")),
        ("accumulate", 0),
        ("eval_interval", 0),
        ("eval_iters", 0),
        ("seed", -1),
    ],
)
def test_a_bad_setting_is_named(field, value):
    with pytest.raises(ValueError, match=f"^{field}="):
        TrainConfig(**{field: value})


def test_the_log_drops_the_steps_that_a_resumed_run_does_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in (1, 2, 3):
        log.write({"step": step, "train_loss": 1.0})
        assert read_metrics(path)[-1]["step"] == step  # at once: a kill must not lose it
    log.close()
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 4, "train_')  # killed in the middle of a line
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 3]
    log = MetricsLog(path, steps_done=2)
    log.write({"step": 3, "train_loss": 0.5})
    log.close()
    assert [(r["step"], r["train_loss"]) for r in read_metrics(path)] == [
        (1, 1.0),
        (2, 1.0),
        (3, 0.5),
    ]


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"7", b"null", b"[1]", b"{}", b'{"step": "3"}', b'{"step": 1.0}', b'{"step": null}',
     b"\xff", b"\0\0", b"[" * 100_000, b'{"step": ' + b"9" * 5000 + b"}"],
    ids=lambda line: repr(line[:20]),
)  # fmt: skip
def test_a_line_that_is_no_record_costs_that_line_alone(tmp_path, line):
    assert record_of(line) is None
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3, "lr": 0.5}\n')
    assert read_metrics(path) == [{"step": 1}, {"step": 3, "lr": 0.5}]


def test_a_log_that_cannot_be_rewritten_stays_as_it_was(tmp_path, monkeypatch):
    def disk_full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    monkeypatch.setattr("numpygpt.data.os.replace", disk_full)
    with pytest.raises(OSError, match="No space"):
        MetricsLog(path, steps_done=1)
    monkeypatch.undo()
    assert [r["step"] for r in read_metrics(path)] == [1, 2]
    assert list(tmp_path.iterdir()) == [path]
