"""Muon against the exact decomposition, alone, in the trainer, on threads and ranks, resumed."""

import json
import math
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from test_distributed import mpirun, with_mpi

from numpygpt import GPT, GPTConfig
from numpygpt.checkpoint import CheckpointError, digest_of, load_checkpoint, save_checkpoint
from numpygpt.cli import main
from numpygpt.distributed import DistributedTrainer
from numpygpt.engine import ThreadedEngine
from numpygpt.llama import Llama, LlamaConfig
from numpygpt.metrics import read_metrics
from numpygpt.nn import Module
from numpygpt.optim import Adam, Muon
from numpygpt.optim.lr_scheduler import WarmupCosineLR
from numpygpt.optim.muon import COEFFICIENTS, in_blocks, matrices, orthogonalize
from numpygpt.training import LayersEngine, TrainConfig, Trainer

TOKENS = np.cumsum(np.random.default_rng(0).integers(1, 3, 3000)) % 11


def exact(G, steps=5):
    """U p(S) Vᵀ with p applied `steps` times to S / ‖S‖, by a singular value decomposition."""
    U, s, Vt = np.linalg.svd(G, full_matrices=False)
    s = s / max(np.linalg.norm(s), 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (U * s) @ Vt


def make(dtype=np.float64, seed=0, **options):
    shape = {"n_layer": 2, "n_head": 3, "n_embd": 6, "tie_weights": False, **options}
    model = GPT(GPTConfig(11, 8, **shape), rng=np.random.default_rng(seed), dtype=dtype)
    rng = np.random.default_rng(seed + 1)
    for p, g in zip(model.params().values(), model.grads().values(), strict=True):
        p[...] = rng.normal(0, 0.5, p.shape)
        g[...] = rng.normal(0, 0.5, p.shape)
    return model


def copies(arrays):
    return {name: a.copy() for name, a in arrays.items()}


# ---- orthogonalize ----


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4), (1, 7), (7, 1), (1, 1)])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_only_the_singular_values_change_and_as_the_polynomial_says(shape, steps):
    G = np.random.default_rng(0).normal(size=shape)
    before = G.copy()
    np.testing.assert_allclose(orthogonalize(G, steps), exact(G, steps), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(G, before)


def test_singular_values_end_between_068_and_121_and_not_at_1():
    # Over their norm, they begin at 0.0021 to 0.21.
    s = np.linalg.svd(orthogonalize(np.diag(np.geomspace(0.02, 2, 200))), compute_uv=False)
    assert 0.68 < s.min() < 0.69 and 1.20 < s.max() < 1.21


def test_the_size_of_the_gradient_does_not_matter_and_zeros_stay_zeros():
    G = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale in (1e-3, 1e3, 1e15):
            found = orthogonalize(np.float32(scale) * G)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, orthogonalize(G), atol=1e-3)
        assert not orthogonalize(np.zeros((3, 2))).any()


# ---- which arrays, and how ----


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = make()
    optimizer = Muon(model)
    blocks = ("attn.qkv.W", "attn.proj.W", "ffn.fc1.W", "ffn.fc2.W")
    assert optimizer.m.keys() == {f"blocks.{i}.{name}" for i in (0, 1) for name in blocks}
    assert optimizer.adam.m.keys() == model.params().keys() - optimizer.m.keys()
    some = {"wte.W", "wpe.W", "head.W", "ln_f.gamma", "blocks.0.attn.qkv.b"}
    assert some <= optimizer.adam.m.keys()


def test_a_llama_has_its_matrices_apart_already():
    config = LlamaConfig(11, 8, 1, 4, 12, n_kv_head=2, head_dim=4, qk_norm=True, tie_weights=False)
    optimizer = Muon(Llama(config, rng=np.random.default_rng(0)))
    names = "attn.q attn.k attn.v attn.proj ffn.gate ffn.up ffn.down".split()
    assert optimizer.m.keys() == {f"blocks.0.{name}.W" for name in names}


def test_the_rest_moves_as_adamw_alone_would_move_it():
    ours, theirs = make(), make()
    muon = Muon(ours, 0.02, weight_decay=0.3, adam_lr=3e-3, betas=(0.8, 0.95), eps=1e-6)
    adam = Adam(theirs, 3e-3, (0.8, 0.95), 1e-6, weight_decay=0.3)
    for _ in range(3):
        muon.step()
        adam.step()
    for name in muon.adam.m:
        np.testing.assert_array_equal(ours.params()[name], theirs.params()[name])


def test_three_steps_are_nesterov_momentum_made_orthogonal_by_hand():
    model = make()
    optimizer = Muon(model, lr=0.1, momentum=0.7, weight_decay=0.5)
    expected, means = copies(model.params()), {}
    rng = np.random.default_rng(3)
    for lr in (0.1, 0.1, 0.03):
        optimizer.lr = lr
        for name, g in model.grads().items():
            g[...] = rng.normal(0, 0.5, g.shape)
            if not in_blocks(name, g):
                continue
            m = means[name] = 0.7 * means.get(name, 0) + 0.3 * g
            u = 0.7 * m + 0.3 * g
            C = len(u) if "qkv" in name else u.shape[1]
            factor = lr * math.sqrt(max(1, C / len(u)))
            parts = [exact(u[:, i : i + C]) for i in range(0, u.shape[1], C)]
            expected[name] = (1 - lr * 0.5) * expected[name] - factor * np.hstack(parts)
        optimizer.step()
    for name in optimizer.m:
        np.testing.assert_allclose(model.params()[name], expected[name], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(optimizer.m[name], means[name], rtol=1e-12)


def test_the_fused_matrix_is_seen_as_three():
    W = np.arange(18.0).reshape(2, 9)
    q, k, v = matrices("blocks.0.attn.qkv.W", W)
    np.testing.assert_array_equal(np.hstack([q, k, v]), W)
    assert q.shape == k.shape == v.shape == (2, 3) and np.shares_memory(k, W)
    assert matrices("blocks.0.attn.proj.W", W)[0] is W


def test_gradients_stay_as_they_are_and_arrays_where_they_are():
    model = make(np.float32)
    optimizer = Muon(model)
    params, grads, state = model.params(), copies(model.grads()), optimizer.state()
    optimizer.step()
    assert all(p is params[name] for name, p in model.params().items())
    assert all(a is state[name] for name, a in optimizer.state().items() if name != "t")
    assert {a.dtype for n, a in optimizer.state().items() if n != "t"} == {np.dtype(np.float32)}
    for name, g in model.grads().items():
        np.testing.assert_array_equal(g, grads[name])
    optimizer.zero_grad()
    assert not any(g.any() for g in model.grads().values())


def test_a_schedule_moves_both_rates():
    optimizer = Muon(make(), lr=0.04, adam_lr=1e-3)
    schedule = WarmupCosineLR(optimizer, 4, 10, 0.0)
    optimizer.step()
    assert (optimizer.lr, optimizer.adam.lr) == (0.01, pytest.approx(2.5e-4))
    optimizer.lr = schedule.lr_at(7)
    optimizer.step()
    assert optimizer.adam.lr == pytest.approx(1e-3 / 2)


def test_what_muon_cannot_do_is_refused():
    class Alone(Module):
        def __init__(self):
            self.W, self.dW = np.ones((2, 3)), np.ones((2, 3))

    with pytest.raises(ValueError, match="no matrix to take"):
        Muon(Alone())
    assert Muon(Alone(), takes=lambda name, p: name == "W").m.keys() == {"W"}
    with pytest.raises(ValueError, match=r"lr=0 must be more than 0"):
        Muon(make(), lr=0)


def test_the_defaults():
    optimizer = Muon(make())
    adam = optimizer.adam
    assert (optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (0.02, 0.95, 0.0)
    assert (adam.lr, adam.betas, adam.eps, adam.weight_decay) == (2e-3, (0.9, 0.999), 1e-8, 0.0)


# ---- threads ----


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_share_the_matrices_and_give_the_same_bits(threads):
    alone, shared = make(np.float32), make(np.float32)
    engine = ThreadedEngine(shared, threads)
    with engine.blas.limited(1):
        for optimizer in (Muon(alone), Muon(shared, engine=engine)):
            optimizer.step()
            optimizer.step()
    for name, p in alone.params().items():
        np.testing.assert_array_equal(shared.params()[name], p)


def test_a_batch_and_the_matrices_are_shared_by_the_same_threads_and_errors_come_back():
    model = make()
    optimizer = Muon(model, engine=ThreadedEngine(model, 2))
    model.blocks[1].ffn.fc2.dW[...] = 1e300  # its square overflows
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        optimizer.step()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        optimizer.step()


def test_blas_starts_no_threads_beside_ours_and_has_its_own_back_afterwards():
    class Watched(Muon):
        def direction(self, u):
            seen.append(self.engine.blas.get())
            return super().direction(u)

    model, seen = make(), []
    engine = ThreadedEngine(model, 2)
    if engine.blas.name is None:
        pytest.skip("this BLAS has no number of threads to be set")
    with engine.blas.limited(2):
        Watched(model, engine=engine).step()
        assert set(seen) == {1} and len(seen) == 2 * 6 and engine.blas.get() == 2


def test_without_threads_of_its_own_an_engine_is_none():
    model = make()
    Muon(model, engine=LayersEngine(model)).step()


# ---- trainers and ranks ----


def trainer(optimizer=True, world=None, threads=1, dtype=np.float32, **changes):
    settings = {"batch_size": 4, "max_iters": 12, "warmup_iters": 3, "lr": 0.02, "seed": 3}
    config = TrainConfig(**{**settings, "eval_interval": 5, "eval_iters": 3, **changes})
    shape = GPTConfig(11, 8, 2, 3, 12, activation="gelu")
    model = GPT(shape, rng=np.random.default_rng([config.seed, 0]), dtype=dtype)
    engine = ThreadedEngine(model, threads)
    muon = Muon(model, config.lr, adam_lr=0.02, engine=engine) if optimizer else None
    data = model, TOKENS[:2500], TOKENS[2500:], config
    if world is None:
        return Trainer(*data, engine, muon)
    return DistributedTrainer(*data, world, engine, muon)


def numbers(t):
    records = list(t.run())
    names = ("train_loss", "grad_norm", "val_loss", "lr")
    return [[r[n] for n in names if n in r] for r in records], digest_of(t.state()[0])


def test_it_learns_the_rule_of_the_text():
    records = list(trainer(max_iters=200, eval_interval=200, eval_iters=20).run())
    # Two continuations are equally likely: ln 2 = 0.693 is the best there is.
    assert 0.67 < records[-1]["val_loss"] < 0.80


@pytest.mark.parametrize("stopped_after", [0, 5, 11])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, stopped_after, threads):
    straight, first, second = (trainer(threads=threads) for _ in range(3))
    expected = numbers(straight)
    for _ in range(stopped_after):
        first.step()
    save_checkpoint(tmp_path / "c.npz", *first.state())
    second.load_state(*load_checkpoint(tmp_path / "c.npz"))
    found = numbers(second)
    assert found == (expected[0][stopped_after:], expected[1])


def test_the_state_of_another_optimizer_is_refused_and_changes_nothing():
    ours, theirs = trainer(), trainer(optimizer=False)
    theirs.step()
    ours.step()
    with pytest.raises(ValueError, match="another optimizer"):
        ours.optimizer.load_state(theirs.optimizer.state())
    with pytest.raises(CheckpointError, match="no run to go on with: this is the state of another"):
        trainer().load_state(*theirs.state())
    with pytest.raises(CheckpointError, match="no run to go on with"):
        trainer(optimizer=False).load_state(*ours.state())


ON_A_RANK = """
    import json
    import numpy as np
    from test_muon import numbers, trainer
    from numpygpt.distributed import connect
    world = connect()
    losses, digest = numbers(trainer(world=world, dtype=np.float64, batch_size=7))
    digests = world.gather(digest)
    if world.rank == 0:
        print("found:" + json.dumps([losses, digests]))
"""


@with_mpi
def test_ranks_have_the_losses_of_one_process_and_equal_weights():
    out, _ = mpirun(2, "-c", textwrap.dedent(ON_A_RANK), cwd=Path(__file__).parent)
    losses, digests = json.loads(out.partition("found:")[2])
    expected, _ = numbers(trainer(dtype=np.float64, batch_size=7))
    assert digests[0] == digests[1]
    for ours, single in zip(losses, expected, strict=True):
        assert ours == pytest.approx(single, rel=1e-6)


# ---- the command line ----

TEXT = "".join(f"First Citizen:\nI count {i}, and so do you, my lord.\n\n" for i in range(60))
TINY = "--n_layer 1 --n_head 2 --n_embd 8 --block_size 8 --batch_size 2 --eval_iters 1".split()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text(TEXT)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    return tmp_path


def run(*argv):
    try:
        return main([str(a) for a in argv])
    except SystemExit as end:
        return end.code


def train(*argv):
    return run("train", *TINY, "--data_dir", "d", "--max_iters", 6, *argv)


def left(out_dir):
    arrays, meta = load_checkpoint(f"{out_dir}/checkpoint.npz")
    records = read_metrics(Path(out_dir, "metrics.jsonl"))
    losses = [(r["step"], r["train_loss"], r["lr"]) for r in records]
    return digest_of(arrays), losses, meta


def test_the_command_trains_resumes_samples_and_plots(folder, capsys):
    muon = ("--optimizer", "muon", "--eval_interval", 3)
    assert train(*muon, "--out_dir", "whole") == 0
    digest, losses, meta = left("whole")
    assert meta["optimizer"] == {"kind": "muon", "momentum": 0.95, "adam_lr": 2e-3}
    assert meta["train"]["lr"] == 0.02
    assert train(*muon, "--max_iters", 3, "--warmup_iters", 100, "--out_dir", "cut") == 0
    assert run("train", "--resume", "--out_dir", "cut", "--max_iters", 6) == 0
    assert left("cut")[:2] == (digest, losses)
    assert train("--out_dir", "adamw") == 0
    assert left("adamw")[2]["optimizer"] == {"kind": "adamw"} and left("adamw")[0] != digest
    for command in (["sample", "--max_new_tokens", 3], ["plot"]):
        assert run(*command, "--out_dir", "whole") == 0


def test_settings_arrive(folder):
    given = {"momentum": 0.5, "adam_lr": 0.01, "lr": 0.1, "min_lr": 0.1, "weight_decay": 0.0}
    argv = [word for name, value in given.items() for word in (f"--{name}", value)]
    assert train("--optimizer", "muon", "--max_iters", 1, "--out_dir", "o", *argv) == 0
    arrays, meta = load_checkpoint("o/checkpoint.npz")
    assert meta["optimizer"] == {"kind": "muon", "momentum": 0.5, "adam_lr": 0.01}
    argv[1], argv[3] = 0.95, 0.0
    assert train("--optimizer", "muon", "--max_iters", 1, "--out_dir", "p", *argv) == 0
    other, _ = load_checkpoint("p/checkpoint.npz")
    name = "optimizer.m.blocks.0.ffn.fc1.W"  # after a step: (1 - momentum) g
    np.testing.assert_allclose(arrays[name], 10 * other[name], rtol=1e-5)
    # AdamW's first step is its rate, here the hundredth part of it that the warm-up begins with.
    moved = np.abs(arrays["model.wpe.W"] - other["model.wpe.W"])
    assert moved.max() == pytest.approx(0.01 / 100, rel=1e-3)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--momentum", 0.9], "--momentum needs --optimizer muon"),
        (["--adam_lr", 0.9], "--adam_lr needs --optimizer muon"),
        (["--optimizer", "muon", "--momentum", 1], "--momentum 1.0 must be at least 0 and less"),
        (["--optimizer", "muon", "--adam_lr", "nan"], "--adam_lr nan must be a finite number"),
        (["--optimizer", "muon", "--adam_lr", -1], "--adam_lr -1.0 must be a finite number"),
        (["--optimizer", "muon", "--lr", 0], "--optimizer muon: lr=0.0 must be more than 0"),
        (["--optimizer", "sgd"], "invalid choice: 'sgd'"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_nothing_is_written(folder, capsys, argv, message):
    capsys.readouterr()
    assert train(*argv, "--out_dir", "o") == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not Path("o").exists()


def test_a_run_goes_on_with_its_own_optimizer_only(folder, capsys):
    assert train("--optimizer", "muon", "--out_dir", "m", "--max_iters", 2) == 0
    assert train("--out_dir", "a", "--max_iters", 2) == 0
    for out_dir, other, own in (("m", "adamw", "muon"), ("a", "muon", "adamw")):
        before = Path(out_dir, "checkpoint.npz").read_bytes()
        capsys.readouterr()
        argv = ["--resume", "--out_dir", out_dir, "--max_iters", 4, "--optimizer", other]
        assert run("train", *argv) == 2
        assert f"--optimizer {other} does not fit the checkpoint: {own}" in capsys.readouterr().err
        assert Path(out_dir, "checkpoint.npz").read_bytes() == before
        assert run("train", *argv[:-1], own) == 0


DAMAGED = [None, 7, [], {}, {"kind": []}, {"kind": "muon", "momentum": "x"}]


@pytest.mark.parametrize("value", DAMAGED, ids=str)
def test_a_damaged_name_of_the_optimizer_is_one_line(folder, capsys, value):
    assert train("--optimizer", "muon", "--out_dir", "o", "--max_iters", 2) == 0
    arrays, meta = load_checkpoint("o/checkpoint.npz")
    save_checkpoint("o/checkpoint.npz", arrays, {**meta, "optimizer": value})
    capsys.readouterr()
    assert run("train", "--resume", "--out_dir", "o", "--max_iters", 4) == 2
    assert "no run has such a value of 'optimizer'" in capsys.readouterr().err


def test_checkpoints_of_before_there_was_a_choice_go_on(folder):
    assert train("--out_dir", "o", "--max_iters", 2) == 0
    arrays, meta = load_checkpoint("o/checkpoint.npz")
    del meta["optimizer"]
    save_checkpoint("o/checkpoint.npz", arrays, meta)
    assert run("train", "--resume", "--out_dir", "o", "--max_iters", 4) == 0
    assert left("o")[2]["optimizer"] == {"kind": "adamw"}
