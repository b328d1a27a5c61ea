"""The folders of runs and of data: one writer at a time, whole or not there, nothing lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from numpygpt.chat import TextStream
from numpygpt.checkpoint import load_checkpoint, save_checkpoint
from numpygpt.cli import folders, lock, main, sample, steps
from numpygpt.cli.errors import UsageError, message_of
from numpygpt.cli.folders import open_data
from numpygpt.cli.lock import Lock
from numpygpt.cli.runs import keep_last, kept_checkpoints
from numpygpt.generate import stream
from numpygpt.metrics import read_metrics
from numpygpt.tokenizers import BPETokenizer
from numpygpt.training import Trainer

TEXT = "".join(f"First Citizen:\nI count {i}, and so do you, my lord.\n\n" for i in range(60))
OTHER = TEXT.replace("count", "tnuoc")  # as long, of the same letters
TINY = "--n_layer 1 --n_head 2 --n_embd 8 --block_size 8 --batch_size 2 --eval_iters 1".split()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with two texts, t.txt and other.txt, and the data of the first, d."""
    monkeypatch.chdir(tmp_path)
    Path("t.txt").write_text(TEXT)
    Path("other.txt").write_text(OTHER)
    assert run("datagen", "t.txt", "--output_dir", "d") == 0
    return tmp_path


def run(*argv):
    return main([str(a) for a in argv])


def train(*argv):
    return run("train", *TINY, "--data_dir", "d", *argv)


def mistake(capsys, *argv):
    """Run, expect exit code 2, and return the one line on standard error."""
    capsys.readouterr()
    assert run(*argv) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and err.startswith("numpygpt ")
    return err


def start(*argv, **options):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    command = [sys.executable, "-m", "numpygpt", *map(str, argv)]
    return subprocess.Popen(command, **pipes)


STARTED = []


@pytest.fixture(autouse=True)
def none_goes_on():
    """A test that fails leaves no endless run behind, which would take a core from all others."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def start_training(*argv, **options):
    """Start a run in o that would not end by itself, and wait until it does steps."""
    endless = ["--max_iters", "1000000", "--eval_interval", "1000000", "--out_dir", "o"]
    process = start("train", *TINY, "--data_dir", "d", *endless, *argv, **options)
    STARTED.append(process)
    log = Path("o/metrics.jsonl")
    while not log.exists() or log.stat().st_size < 2000:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def names(folder="."):
    return {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}


def contents(folder):
    return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def without_digest(data_dir):
    """Take the digest over all files out of the folder, as before there was one; return it."""
    path = Path(data_dir, "tokenizer.json")
    content = json.loads(path.read_text())
    digest = content.pop("sha256")
    path.write_text(json.dumps(content))
    return digest


def step_of(out_dir):
    return load_checkpoint(Path(out_dir, "checkpoint.npz"))[1]["step"]


# ---- the lock ----


def test_two_runs_cannot_write_in_one_folder(folder, capsys):
    process = start_training()
    for argv in (["train", "--data_dir", "d"], ["train", "--resume", "--max_iters", "9"]):
        line = mistake(capsys, *argv, "--out_dir", "o")
        assert f"process {process.pid} of numpygpt writes in o: wait for it" in line
    assert names("o") >= {"checkpoint.npz", "numpygpt.lock"} and not Path("o.1").exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    process.communicate()
    assert names("o") == {"checkpoint.npz", "metrics.jsonl"}
    assert run("train", "--out_dir", "o", "--resume", "--max_iters", step_of("o") + 1) == 0


def test_of_two_runs_that_start_at_once_one_is_left(folder):
    assert train("--out_dir", "o", "--max_iters", 2) == 0
    options = ["--data_dir", "d", "--out_dir", "o", "--max_iters", "300", "--eval_interval", "300"]
    both = [start("train", *TINY, *options) for _ in range(2)]
    ends = [(*p.communicate(timeout=120), p.returncode) for p in both]
    # The first may be done before the second begins: then that one is set aside, whole.
    codes = sorted(code for *_, code in ends)
    assert codes in ([0, 2], [0, 0]), ends
    assert step_of("o") == 300 and step_of("o.1") == 2
    assert len(read_metrics("o/metrics.jsonl")) == 300


def test_a_lock_that_a_killed_run_left_stops_nobody(folder):
    process = start_training()
    process.kill()
    process.communicate()
    assert "numpygpt.lock" in names("o")
    assert run("train", "--out_dir", "o", "--resume", "--max_iters", 1) == 0
    assert train("--out_dir", "o", "--max_iters", 1) == 0
    assert "numpygpt.lock" not in names("o")


def test_a_lock_holds_until_it_is_released_and_leaves_nothing(tmp_path):
    place = tmp_path / "a/b"
    with Lock(place):
        with pytest.raises(UsageError, match=f"process {os.getpid()} of numpygpt writes in"):
            Lock(place)
    assert list(tmp_path.iterdir()) == []
    with Lock(place):
        (place / "kept").touch()
    assert names(tmp_path) == {"a/b/kept"}


def test_a_lock_whose_owner_removes_it_in_between_is_taken_again(tmp_path, monkeypatch):
    first, flock = Lock(tmp_path), lock.fcntl.flock

    def late(*arguments):
        first.release()  # after the second has opened the file, and before it locks it
        return flock(*arguments)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    second = Lock(tmp_path)
    monkeypatch.undo()
    with pytest.raises(UsageError):
        Lock(tmp_path)
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_on_a_disk_without_locks_a_run_goes_on(tmp_path, monkeypatch):
    def unknown(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", unknown)
    with Lock(tmp_path), Lock(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_windows_locks_a_byte_of_the_file_and_closes_it_before_it_is_removed(tmp_path, monkeypatch):
    taken, unlink = [], Path.unlink

    def locking(descriptor, mode, number):
        assert (mode, number) == (2, 1) and os.lseek(descriptor, 0, os.SEEK_CUR) > 1 << 20
        if taken:
            raise PermissionError(13, "Permission denied")
        taken.append(descriptor)

    def unlink_closed(path):
        with pytest.raises(OSError):
            os.fstat(taken[0])
        unlink(path)

    monkeypatch.setattr(lock, "fcntl", None)
    monkeypatch.setattr(lock, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2), raising=False)
    first = Lock(tmp_path)
    with pytest.raises(UsageError, match=f"process {os.getpid()} of numpygpt writes"):
        Lock(tmp_path)
    monkeypatch.setattr(Path, "unlink", unlink_closed)
    first.release()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_read_only_is_named_before_the_work(folder, capsys, monkeypatch):
    def denied(path, *_, **__):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(lock, "open", denied, raising=False)  # root may write everywhere
    monkeypatch.setattr("numpygpt.cli.datagen.learn", None)  # it would take minutes
    for argv in (["datagen", "t.txt", "--output_dir", "o"], ["train", "--out_dir", "o"]):
        line = mistake(capsys, *argv, *(["--data_dir", "d"] if argv[0] == "train" else []))
        assert "cannot be written (Read-only file system)" in line
        assert argv[0] == "datagen" or "; there is no checkpoint yet" in line


def test_a_folder_that_cannot_be_made_is_named_before_the_work(folder, capsys, monkeypatch):
    monkeypatch.setattr("numpygpt.cli.datagen.learn", None)  # it would take minutes
    line = mistake(capsys, "datagen", "t.txt", "--output_dir", "t.txt/x")
    assert "t.txt/x cannot be written (Not a directory)" in line


# ---- setting aside ----


def test_a_link_stays_a_link_and_the_disk_that_it_names_keeps_both_runs(folder, capsys):
    Path("scratch").mkdir()
    Path("link").symlink_to("scratch/run", target_is_directory=True)  # not there yet
    for number in (2, 3, 4):
        assert train("--out_dir", "link", "--max_iters", number) == 0
    assert "the run that was in link is now in" in capsys.readouterr().out
    assert Path("link").is_symlink() and step_of("link") == step_of("scratch/run") == 4
    assert (step_of("scratch/run.1"), step_of("scratch/run.2")) == (2, 3)


@pytest.mark.parametrize("way", [".", "../here", "../here/sub/.."])
def test_the_folder_we_are_in_is_not_moved_away(folder, capsys, monkeypatch, way):
    Path("here/sub").mkdir(parents=True)
    monkeypatch.chdir("here")
    options = ["--data_dir", "../d", "--out_dir", way, *TINY, "--max_iters"]
    assert run("train", *options, 2) == 0
    line = mistake(capsys, "train", *options, 3)
    assert f"the run in {way} cannot be set aside (it is the folder we are in)" in line
    assert names() == {"checkpoint.npz", "metrics.jsonl"} and step_of(".") == 2
    assert run("train", "--out_dir", way, "--resume", "--max_iters", 3) == 0


def test_a_run_that_cannot_be_set_aside_stays_as_it_is(folder, capsys, monkeypatch):
    def busy(*_):
        raise OSError(16, "Device or resource busy")

    train("--out_dir", "o", "--max_iters", 2)
    before = contents("o")
    monkeypatch.setattr("numpygpt.cli.runs.os.rename", busy)
    argv = ["train", *TINY, "--data_dir", "d", "--out_dir", "o"]
    assert "cannot be set aside (Device or resource busy)" in mistake(capsys, *argv)
    assert contents("o") == before


def test_only_checkpoints_that_we_named_are_dropped(tmp_path):
    path = tmp_path / "checkpoint.npz"
    mine = {"checkpoint-5-best.npz", "checkpoint-²2.npz", "checkpoint-.npz", "checkpoint--1.npz"}
    for name in mine:
        (tmp_path / name).touch()
    for step in range(4):
        save_checkpoint(path, {}, {"step": step})
        keep_last(path, step, 2)
    assert {p.name for p in kept_checkpoints(path)} == {"checkpoint-2.npz", "checkpoint-3.npz"}
    assert mine < set(contents(tmp_path))


# ---- folders of data ----


def test_the_data_are_those_of_one_text_at_every_moment_of_datagen(folder, capsys, monkeypatch):
    """Look at the folder at each call that could be the last one of a datagen that is killed."""
    assert run("datagen", "t.txt", "--output_dir", "mix") == 0
    states = []

    def look():
        try:
            tokenizer, *tokens, _ = open_data(Path("mix"))
        except (UsageError, ValueError) as error:
            states.append(message_of(error))
        else:
            words = tokenizer.decode(np.concatenate(tokens).tolist())
            states.append({TEXT: "old", OTHER: "new"}[words])

    def look_before(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: (look(), real(*a, **k))[1])

    for module, name in (
        (os, "replace"),
        (Path, "unlink"),
        (folders, "write_tokens"),
        (folders.shutil, "rmtree"),
    ):
        look_before(module, name)
    assert run("datagen", "other.txt", "--output_dir", "mix") == 0
    look()
    missing = f"{Path('mix/tokenizer.json')} is missing: make it with numpygpt datagen"
    other = f"{Path('mix/train.bin')} is not the file that its .json describes: "
    other += "make it again with numpygpt datagen"
    assert states[:6] == ["old"] * 6 and states[-2:] == ["new"] * 2
    assert len(states) > 12 and set(states) == {"old", "new", missing, other}


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("failing", range(1, 11))
def test_a_full_disk_leaves_the_old_data_or_none_that_can_be_read(
    folder, capsys, monkeypatch, failing, old_format
):
    if old_format:
        without_digest("d")
    before, calls, replace = contents("d"), count(1), os.replace

    def full(*arguments):
        if next(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(*arguments)

    monkeypatch.setattr(os, "replace", full)
    code = run("datagen", "other.txt", "--output_dir", "d")
    monkeypatch.setattr(os, "replace", replace)
    err = capsys.readouterr().err
    assert code == (0 if failing > 9 else 2)
    if code:
        assert err == "numpygpt datagen: d cannot be written (No space left on device)\n"
        assert not any(name.startswith("numpygpt.") for name in contents("d"))
    if failing <= 5:  # until then all is written beside the old files
        assert contents("d") == before
    elif code:  # what is there is no data
        assert "tokenizer.json is missing" in mistake(capsys, "train", "--data_dir", "d", *TINY)


@pytest.mark.parametrize("name", ["train", "val", "tokenizer"])
def test_files_that_were_copied_together_are_found_out(folder, capsys, name):
    assert run("datagen", "other.txt", "--output_dir", "d2") == 0
    for end in (".bin", ".json"):
        if Path(f"d2/{name}{end}").exists():
            shutil.copy(f"d2/{name}{end}", f"d/{name}{end}")
    line = mistake(capsys, "train", "--data_dir", "d", "--out_dir", "o", *TINY)
    assert "d holds files of different texts: make it again with numpygpt datagen" in line


def test_a_folder_of_an_earlier_version_is_read_without_a_word(folder, capsys):
    assert train("--out_dir", "o", "--max_iters", 3) == 0
    digest = without_digest("d")
    path = Path("o/checkpoint.npz")
    arrays, meta = load_checkpoint(path)
    assert meta["data"] == digest  # it is the digest of the files, whether it stands there or not
    assert run("train", "--out_dir", "o", "--resume", "--max_iters", 4) == 0
    assert load_checkpoint(path)[1]["data"] == digest
    del meta["data"]
    save_checkpoint(path, arrays, meta)
    assert run("train", "--out_dir", "o", "--resume", "--max_iters", 4) == 0
    assert capsys.readouterr().err == ""


def test_resume_refuses_another_text(folder, capsys):
    assert train("--out_dir", "o", "--max_iters", 2) == 0
    assert run("datagen", "other.txt", "--output_dir", "d2") == 0
    before = contents("o")
    line = mistake(capsys, "train", "--out_dir", "o", "--resume", "--data_dir", "d2")
    assert "d2 holds another text than the checkpoint was trained on" in line
    assert contents("o") == before
    # The same text in another folder is the same text.
    assert run("datagen", "t.txt", "--output_dir", "d3") == 0
    argv = ["--out_dir", "o", "--resume", "--data_dir", "d3", "--max_iters", 3]
    assert run("train", *argv) == 0


@pytest.mark.parametrize(("cut", "name"), [(700, "val"), (90, "train")])
def test_a_part_too_short_for_a_window_is_named_at_once(folder, capsys, cut, name):
    Path("short.txt").write_text(TEXT[:cut])
    assert run("datagen", "short.txt", "--output_dir", "short") == 0
    options = ["--data_dir", "short", "--out_dir", "o", "--block_size", "81"]
    line = mistake(capsys, "train", *options)
    n = {"val": 70, "train": 81}[name]
    path = Path("short", f"{name}.bin")
    assert f"{path}: {n} tokens are too few for a window of block_size=81" in line
    assert not Path("o").exists()


# ---- the log ----


@pytest.mark.parametrize(
    "bad",
    [b'{"step": 3, "lo', b"\xff\xfe", b"[1]", b"{}", b'{"step": "3"}', b"[" * 100_000, b"nonsense"],
    ids=lambda b: repr(b[:20]),
)
def test_a_bad_line_costs_that_line_and_is_kept_aside(folder, capsys, bad):
    assert train("--out_dir", "o", "--max_iters", 6, "--eval_interval", 3) == 0
    path = Path("o/metrics.jsonl")
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], bad, *lines[3:]]))
    assert run("plot", "--out_dir", "o") == 0
    capsys.readouterr()
    assert run("train", "--out_dir", "o", "--resume", "--max_iters", 8) == 0
    assert [r["step"] for r in read_metrics(path)] == [1, 2, 4, 5, 6, 7, 8]
    assert path.read_bytes().split(b"\n")[2] == lines[3]
    assert Path("o/metrics.jsonl.bad").read_bytes() == bad + b"\n"
    out = capsys.readouterr().out
    assert f"{path}: 1 lines of it hold no record, and are now in {path}.bad" in out


@pytest.mark.parametrize("line", ['{"step": 1}', '{"step": 1, "grad_norm": 0, "lr": "x"}'])
def test_records_without_what_is_drawn_are_drawn_without_it(folder, capsys, line):
    Path("o").mkdir()
    Path("o/metrics.jsonl").write_text(line + "\n")
    assert run("plot", "--out_dir", "o") == 0
    assert Path("o/training_curves.png").read_bytes().startswith(b"\x89PNG")
    Path("o/metrics.jsonl").write_text("[1]\n")
    assert "holds no steps yet" in mistake(capsys, "plot", "--out_dir", "o")


@pytest.mark.parametrize("command", ["datagen", "export", "plot"])
def test_a_full_disk_is_named_with_what_it_has_no_room_for(folder, capsys, monkeypatch, command):
    assert train("--out_dir", "o", "--max_iters", 1) == 0
    argv, target = {
        "datagen": (["t.txt", "--output_dir", "d"], "d"),
        "export": (["g", "--out_dir", "o"], "g"),
        "plot": (["--out_dir", "o"], Path("o/training_curves.png")),
    }[command]
    before = {name: contents(name) for name in ("d", "o")}

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        monkeypatch.setattr(os, name, full)
    line = mistake(capsys, command, *argv)
    assert line == f"numpygpt {command}: {target} cannot be written (No space left on device)\n"
    assert {name: contents(name) for name in ("d", "o")} == before and not Path("g").exists()


def test_a_line_that_a_crash_cut_short_is_nothing_to_keep(folder, capsys):
    assert train("--out_dir", "o", "--max_iters", 3) == 0
    with open("o/metrics.jsonl", "a") as file:
        file.write('{"step": 4, "train_')
    assert run("train", "--out_dir", "o", "--resume", "--max_iters", 4) == 0
    assert [r["step"] for r in read_metrics("o/metrics.jsonl")] == [1, 2, 3, 4]
    assert not Path("o/metrics.jsonl.bad").exists()


# ---- how a command ends ----


def test_a_terminal_that_is_closed_ends_the_run_with_its_last_step_saved(folder):
    """What closes it sends SIGHUP, twice if it is a shell, and takes the terminal away."""
    ours, theirs = os.openpty()
    process = start_training(
        stdout=theirs, stderr=theirs, stdin=theirs, start_new_session=True, text=False
    )
    os.close(theirs)
    process.send_signal(signal.SIGHUP)
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) in (2, 130)
    assert step_of("o") == read_metrics("o/metrics.jsonl")[-1]["step"] > 0
    assert "numpygpt.lock" not in names("o")


def in_step(monkeypatch, number, do):
    """Let something happen in the n-th step of a run."""
    step = Trainer.step

    def watched(trainer):
        if trainer.step_count + 1 == number:
            do()
        return step(trainer)

    monkeypatch.setattr(Trainer, "step", watched)


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGTERM])
def test_only_who_presses_ctrl_c_twice_cannot_wait(folder, capsys, monkeypatch, sign):
    before = signal.getsignal(sign)
    in_step(monkeypatch, 3, lambda: (signal.raise_signal(sign), signal.raise_signal(sign)))
    assert train("--out_dir", "o", "--max_iters", 9) == 130
    out, err = capsys.readouterr()
    assert step_of("o") == 3 and "stopped after step 3;" in out and err == ""
    assert signal.getsignal(sign) is before
    in_step(monkeypatch, 5, lambda: (signal.raise_signal(sign), signal.raise_signal(signal.SIGINT)))
    assert run("train", "--out_dir", "o", "--resume") == 130
    assert step_of("o") == 3 and capsys.readouterr().err == "interrupted\n"


def test_a_bar_that_cannot_be_shown_ends_the_run_with_its_step_saved(folder, capsys, monkeypatch):
    """A terminal is gone before its SIGHUP comes."""

    def show(self, record):
        if record["step"] == 3:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(steps.Progress, "show", show)
    assert train("--out_dir", "o", "--max_iters", 9) == 130
    assert step_of("o") == 4 and len(read_metrics("o/metrics.jsonl")) == 4


def test_a_hangup_is_an_interrupt_and_under_nohup_it_is_nothing(folder):
    # Whoever runs the tests under nohup hands that down.
    process = start_training(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "" and "--resume goes on" in out
    assert step_of("o") > 0
    shutil.rmtree("o")

    process = start_training(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    size = Path("o/metrics.jsonl").stat().st_size
    process.send_signal(signal.SIGHUP)
    while Path("o/metrics.jsonl").stat().st_size < size + 5000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_ctrl_c_prints_what_was_sampled_so_far(folder, capsys, monkeypatch, kind):
    assert run("datagen", "t.txt", "--output_dir", "d", "--tokenizer_type", kind) == 0
    assert train("--out_dir", "o", "--max_iters", 1) == 0
    options = ["sample", "--out_dir", "o", "--prompt", "I", "--num_samples", 3]
    capsys.readouterr()
    assert run(*options, "--max_new_tokens", 4) == 0
    whole = capsys.readouterr().out
    sampled = count(1)

    def interrupted(*arguments, **given):
        for new in stream(*arguments, **given):
            yield new
            if next(sampled) == 4:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sample, "stream", interrupted)
    assert run(*options, "--max_new_tokens", 20_000) == 130
    out, err = capsys.readouterr()
    assert out == whole and err == "interrupted\n"


def test_a_text_never_ends_in_half_a_character(folder):
    tokenizer = BPETokenizer.train("né 中文 😀" * 9, 260)
    for text in ("né", "中文", "a 😀", "😀"):
        ids = tokenizer.encode(text)
        for n in range(1, len(ids)):
            part = TextStream(tokenizer).add(ids[:n])
            assert text.startswith(part) and len(part) < len(text) or part == text
    # In the middle of a text what is no character is shown.
    broken = [*tokenizer.encode("a"), tokenizer.encode("é")[0], *tokenizer.encode("b")]
    if len(tokenizer.encode("é")) > 1:
        assert TextStream(tokenizer).add(broken) == "a\ufffdb"


# Interrupts the program when it looks for the n-th module after its own first one.
INTERRUPTING = """
import signal, sys
class Finder:
    left = int(sys.argv.pop(1))
    def find_spec(self, name, *_):
        self.begun = getattr(self, "begun", False) or name == "numpygpt.cli.program"
        self.left -= self.begun
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
assert "numpy" not in sys.modules
from numpygpt.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("n", [1, 2, 5, 20, 50, 90, 130])
def test_ctrl_c_while_the_modules_load_says_nothing(folder, n):
    command = [sys.executable, "-c", INTERRUPTING, str(n), "plot", "--out_dir", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_that_is_ignored_is_ignored_while_the_modules_load(folder):
    command = [sys.executable, "-c", INTERRUPTING, "20", "plot", "--out_dir", "none"]
    ignore = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    done = subprocess.run(command, capture_output=True, text=True, **ignore)
    assert done.returncode == 2 and "does not exist: train first" in done.stderr


def test_main_leaves_ctrl_c_to_whoever_had_it(folder):
    def ours(*_):
        pass

    before = signal.getsignal(signal.SIGINT)
    try:
        for handler in (ours, signal.SIG_IGN, signal.default_int_handler):
            signal.signal(signal.SIGINT, handler)
            assert run("train", "--resume", "--out_dir", "none") == 2
            assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_whose_output_nobody_reads_any_more_saves_its_last_step(folder):
    options = ["--max_iters", "1000000", "--eval_interval", "1", "--out_dir", "o"]
    process = start("train", *TINY, "--data_dir", "d", *options)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 141 and process.stderr.read() == ""
    process.stderr.close()
    assert step_of("o") == read_metrics("o/metrics.jsonl")[-1]["step"] > 0


def test_merges_that_double_their_tokens_are_refused_before_they_are_made(
    folder, capsys, monkeypatch
):
    monkeypatch.setattr(folders, "MOST_BYTES", 10_000)  # sixty merges make 2^60
    assert run("datagen", "t.txt", "--output_dir", "d", "--tokenizer_type", "bpe") == 0
    assert train("--out_dir", "o", "--max_iters", 1) == 0
    doubling = [[0, 0]] + [[255 + n, 255 + n] for n in range(1, 14)]
    path = Path("o/checkpoint.npz")
    arrays, meta = load_checkpoint(path)
    save_checkpoint(path, arrays, meta | {"tokenizer": meta["tokenizer"] | {"merges": doubling}})
    line = mistake(capsys, "sample", "--out_dir", "o")
    assert "no run has such a value of 'tokenizer'" in line
    content = json.loads(Path("d/tokenizer.json").read_text())
    Path("d/tokenizer.json").write_text(json.dumps(content | {"merges": doubling}))
    line = mistake(capsys, "train", *TINY, "--data_dir", "d")
    assert "tokenizer.json: its merges make tokens longer than any text" in line


# ---- numbers that are none, and too large ones ----


def test_a_weight_that_is_no_number_is_named(folder, capsys):
    assert train("--out_dir", "o", "--max_iters", 2) == 0
    path = Path("o/checkpoint.npz")
    good, meta = load_checkpoint(path)
    for name, value in (("model.ln_f.beta", np.nan), ("model.wte.W", -np.inf)):
        bad = good[name].copy()
        bad.flat[3] = value
        save_checkpoint(path, good | {name: bad}, meta)
        short = name.removeprefix("model.")
        for argv in (["sample"], ["export", "g"]):
            line = mistake(capsys, *argv, "--out_dir", "o")
            assert f"{path}: {short} holds NaN or infinity" in line
        line = mistake(capsys, "train", "--out_dir", "o", "--resume", "--max_iters", 3)
        assert f"{path}: {name} holds NaN or infinity" in line
    assert not Path("g").exists()
    bad = good["optimizer.v.wte.W"].copy()
    bad[0] = np.nan
    save_checkpoint(path, good | {"optimizer.v.wte.W": bad}, meta)
    line = mistake(capsys, "train", "--out_dir", "o", "--resume", "--max_iters", 3)
    assert "optimizer.v.wte.W holds NaN" in line


def test_weights_so_large_that_the_logits_are_lost_are_one_line(folder, capsys):
    assert train("--out_dir", "o", "--max_iters", 1) == 0
    path = Path("o/checkpoint.npz")
    arrays, meta = load_checkpoint(path)
    save_checkpoint(path, arrays | {"model.wte.W": np.full_like(arrays["model.wte.W"], 3e38)}, meta)
    for temperature in (0, 1):
        argv = ["sample", "--out_dir", "o", "--temperature", temperature]
        assert "a logit is NaN or infinite" in mistake(capsys, *argv)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--batch_size", "1000000000"], "a batch of 8,000,000,000 tokens takes"),
        (["--n_embd", "1000000"], "a GPT of 12,000,056,000,000 parameters takes"),
        (["--n_layer", "1000000000"], "parameters takes"),
        (["--model", "llama", "--n_embd", "1000000"], "a Llama of 12,000,0"),
        (["--block_size", "10000000000"], "--block_size 10000000000 must be at most"),
        (["--batch_size", "9" * 30], "must be at most 2147483647"),
        (["--seed", "9" * 30], "must be at most"),
        (["--threads", "9" * 30], "is more than 1,024"),
    ],
)
def test_a_size_that_cannot_be_is_refused_at_once(folder, capsys, monkeypatch, option, message):
    monkeypatch.setattr("numpygpt.cli.sizes.memory", lambda: 16e9)
    capsys.readouterr()
    with pytest.raises(SystemExit) if "threads" in option[0] else open(os.devnull):
        assert train("--out_dir", "o", *option) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not Path("o").exists()


def test_memory_that_is_not_there_is_one_line(folder, capsys, monkeypatch):
    def full(*_, **__):
        raise MemoryError("Unable to allocate 67.1 GiB for an array with shape (9, 9)")

    monkeypatch.setattr("numpygpt.cli.models.build", full)
    line = mistake(capsys, "train", "--data_dir", "d", "--out_dir", "o")
    assert "there is not enough memory (Unable to allocate 67.1 GiB" in line


def test_a_message_is_one_line_whatever_it_quotes():
    error = UsageError("a\nb\x1b[2Jc\ud83d é " + "x" * 10_000 + " end")
    line = message_of(error)
    assert line.startswith("a\\nb\\x1b[2Jc\\ud83d é xxx") and line.endswith("xxx end")
    assert line.isprintable() and len(line) < 700
