"""The sandbox: what it hides, what it bounds, how it counts time, and what is left afterwards."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from answers import REPOSITORY, type_in

from coursekit.grading import hidden, jail, scratch
from coursekit.grading.clock import Clock
from coursekit.grading.doctor import doctor
from coursekit.grading.sandbox import Sandbox, Watch

if shutil.which("bwrap") is None:
    if os.environ.get("CI"):
        raise RuntimeError("bubblewrap is missing: .ci/run installs it")
    pytest.skip("grading needs bubblewrap (Debian: bubblewrap)", allow_module_level=True)


def test_the_doctor_finds_all_that_is_promised(capsys):
    assert doctor() == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert said.count("ok ") >= 7 and "MISSING" not in said


@pytest.mark.parametrize(
    ("edits", "missing"),
    [
        ({"        deny_calls(one_process)": "        pass"}, "seccomp"),
        # Root's are gone with its number, too.
        ({"        give_up_capabilities()": "", 'if limits["uid"] is': "if None is"}, "capability"),
        ({'limit_files("/tmp")': "None"}, "temporary files"),
    ],
)
def test_the_doctor_misses_what_is_not_there(monkeypatch, capsys, edits, missing):
    def spoil(source, target):
        """Copy coursekit, with another jail.py in it."""
        shutil.copytree(source, target)
        path = Path(target, "grading", "jail.py")
        text = path.read_text()
        for old, new in edits.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        path.write_text(text)

    copying = SimpleNamespace(copytree=spoil, which=shutil.which)
    monkeypatch.setattr("coursekit.grading.doctor.shutil", copying)
    assert doctor() == 1
    said = capsys.readouterr().out
    [line, *_] = [line for line in said.split("\n") if "MISSING  " in line]
    assert missing in line, said


def test_every_denied_call_is_refused_by_its_number():
    """In a process of its own: the filter stays for good."""
    code = (
        "import ctypes, errno, json\n"
        "from coursekit.grading import jail\n"
        "column = list(jail.ARCHITECTURES).index(__import__('platform').machine())\n"
        "jail.deny_calls(one_process=True)\n"
        "libc, found = ctypes.CDLL(None, use_errno=True), {}\n"
        "for name, numbers in (jail.DENIED | jail.PROCESSES).items():\n"
        "    if numbers[column] is not None:\n"
        "        ctypes.set_errno(0)\n"
        "        done = libc.syscall(numbers[column], -1, -1, -1, -1, -1, -1)\n"
        "        found[name] = [done, ctypes.get_errno() == errno.EPERM]\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=REPOSITORY)
    found = json.loads(done.stdout)
    assert len(found) > 35 and all(call == [-1, True] for call in found.values()), found


def test_a_filter_for_each_processor_and_none_for_others():
    assert len(jail.filter_program("x86_64", True)) > len(jail.filter_program("x86_64", False))
    assert jail.filter_program("aarch64", True) != jail.filter_program("x86_64", True)
    assert jail.filter_program("riscv64", True) is None


# What is hidden


def tree(root, *paths):
    for path in paths:
        Path(root, path).parent.mkdir(parents=True, exist_ok=True)
        Path(root, path).write_text("x")


def test_copies_of_the_book_and_private_folders_are_masked_wherever_they_lie(tmp_path):
    tree(
        tmp_path,
        "lib/python/site-packages/numpygpt/nn/linear.py",
        "lib/python/site-packages/numpy/core.py",
        "lib/NumpyGPT-main/book/x.py",
        "lib/elsewhere/03_linear.ipynb",
        "lib/elsewhere/03_linear.py",
        "lib/elsewhere/__pycache__/03_linear.json",
        "lib/elsewhere/03_linear.txt",
        "lib/app/submissions/ann/x.ipynb",
        "other/results/marks.csv",
    )
    private = [tmp_path / "lib/app/submissions", tmp_path / "other/results"]
    folders, files = hidden.masked([str(tmp_path / "lib")], private)
    assert {Path(path).relative_to(tmp_path).as_posix() for path in folders} == {
        "lib/python/site-packages/numpygpt",
        "lib/NumpyGPT-main",
        "lib/app/submissions",
    }
    assert {Path(path).name for path in files} == {
        "03_linear.ipynb",
        "03_linear.py",
        "03_linear.json",
    }


def test_of_a_python_only_its_parts_can_be_read():
    """A clone below the prefix, as pip makes one in $VENV/src, is not among them."""
    paths = hidden.readable()
    for prefix in ("/usr", sys.prefix, sys.base_prefix):
        assert prefix not in paths and f"{prefix}/src" not in paths
        assert not any(hidden.is_below(f"{prefix}/src/numpygpt", path) for path in paths)
    assert any(hidden.is_below(os.__file__, path) for path in paths)


LOOK = """
import json, os
found, writable = [], []
for place in PLACES:
    try:
        what = sorted(os.listdir(place)) if os.path.isdir(place) else open(place).read()
    except PermissionError:
        what = "nothing to be read"
    found.append([place, what])
for place in PLACES:
    try:
        open(f"{place}/x", "w").close()
        writable.append(place)
    except OSError:
        pass
data = json.dumps([found, writable]).encode()
whole = b"".join(len(part).to_bytes(8, "big") + part for part in (b"#found", data))
os.write(int(os.environ["COURSEKIT_OUTPUTS"][3:]), whole)
"""


def test_in_the_sandbox_what_is_masked_is_empty(tmp_path, monkeypatch):
    tree(
        tmp_path, "lib/numpygpt/nn/linear.py", "lib/private/ann.ipynb", "lib/03_linear.py", "lib/y"
    )
    tree(tmp_path, "lib/app/.venv/lib/z", "lib/app/book/x")
    readable = hidden.readable
    venv = str(tmp_path / "lib/app/.venv/lib")
    monkeypatch.setattr(hidden, "readable", lambda: [*readable(), str(tmp_path / "lib"), venv])
    library, job = tmp_path / "library", tmp_path / "job"
    shutil.copytree(REPOSITORY / "coursekit", library / "coursekit")
    (job / "in").mkdir(parents=True)
    private = [tmp_path / "lib/private", tmp_path / "lib/app", REPOSITORY]
    sandbox = Sandbox(library, memory=2, private=private)
    names = ("lib", "lib/numpygpt", "lib/private", "lib/03_linear.py", "lib/app")
    places = [str(tmp_path / name) for name in names]
    cells = [{"source": f"PLACES = {places!r}\n{LOOK}", "check": None, "task": "look"}]
    about = {"command": None, "limits": sandbox.limits(0, 20), "cells": cells}
    (job / "job.json").write_text(json.dumps(about))
    for path in (tmp_path, *tmp_path.parents[:2], *tmp_path.rglob("*")):
        path.chmod(path.stat().st_mode | 0o055)
    outcome = sandbox.run(job, 20, ["#run 0"])
    assert outcome.was_ready, outcome.errors
    [data] = [data for name, data in outcome.frames if name == "#found"]
    found, writable = json.loads(data)
    assert writable == []
    assert dict(found) == dict(
        zip(
            places,
            (
                ["03_linear.py", "app", "numpygpt", "private", "y"],
                [],
                [],
                "nothing to be read",
                [".venv"],
            ),
            strict=True,
        )
    )


def test_a_link_below_a_python_leads_to_no_copy_without_a_mask(tmp_path):
    """As lib64 does, which is lib."""
    tree(tmp_path, "lib/site-packages/numpygpt/nn/linear.py")
    (tmp_path / "lib64").symlink_to("lib")
    (tmp_path / "python").symlink_to(".")  # the prefix itself behind a link
    paths = [str(tmp_path / name) for name in ("lib", "lib64", "python/lib")]
    folders, _ = hidden.masked(paths, [tmp_path / "lib/site-packages"])
    assert str(tmp_path / "lib/site-packages/numpygpt") in folders
    assert str(tmp_path / "python/lib/site-packages") in folders
    assert not any("lib64" in folder for folder in folders)


def test_a_students_folder_is_no_module_of_the_graders(tmp_path):
    """`cd submissions; python -m coursekit grade .` with a student named tqdm, or numpy."""
    for name in ("tqdm", "numpy", "psutil"):
        type_in("03_linear", tmp_path / "class" / name / "03_linear.ipynb")
        (tmp_path / "class" / name / "__init__.py").write_text(f"open('{tmp_path}/ran', 'w')")
    done = subprocess.run(
        [
            *[sys.executable, "-m", "coursekit", "grade", ".", "--assignment", "3"],
            *["--out", "../out", "--no-nbval"],
        ],
        cwd=tmp_path / "class",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists() and "3 with all" in done.stdout


# How time is counted


def test_time_that_a_process_waits_for_a_processor_is_not_its_own():
    spinners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(3 * os.cpu_count())
    ]
    try:
        work = "import time\nwhile time.process_time() < 0.4: pass"
        process = subprocess.Popen([sys.executable, "-c", work])
        clock = Clock(process.pid)
        while process.poll() is None:
            clock.look()
            time.sleep(0.05)
        passed = time.monotonic() - clock.start
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()
    assert clock.seconds < 0.7 * passed


def test_time_that_a_process_sleeps_is_its_own():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1.5)"])
    clock = Clock(process.pid)
    while process.poll() is None:
        clock.look()
        time.sleep(0.05)
    assert clock.seconds > 0.9


# What is left


def test_time_spent_waiting_pays_for_no_time_asleep():
    """Two threads share one processor, then sleep: what they waited is not taken off the sleep."""
    code = (
        "import os, threading, time\n"
        "os.sched_setaffinity(0, {0})\n"
        "end = time.monotonic() + 1\n"
        "def spin():\n    while time.monotonic() < end: hash_it()\n"
        "def hash_it(data=bytes(1 << 22)):\n    import hashlib; hashlib.sha256(data)\n"
        "threads = [threading.Thread(target=spin) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "time.sleep(1)\n"
    )
    before = os.times()
    process = subprocess.Popen([sys.executable, "-c", code])
    clock = Clock(process.pid)
    while process.poll() is None:
        time.sleep(0.05)
        clock.look()
    after = os.times()
    computed = after.children_user + after.children_system
    computed -= before.children_user + before.children_system
    # The second of sleep comes on top of what it computed: about a second, where nobody else does.
    # With the waiting taken off, the sleep would cost next to nothing.
    assert clock.seconds > 0.8 * (computed + 1)


def test_a_job_that_waits_for_ever_is_ended_by_the_clock_on_the_wall(monkeypatch):
    watch = object.__new__(Watch)
    watch.sandbox = SimpleNamespace(memory=2)
    watch.seconds, watch.share, watch.ready, watch.ready_at, watch.began = 5, 5, 1.0, 1.0, 1.0
    watch.clock = SimpleNamespace(seconds=2.0, passed=10.9, processes=1, memory=0)
    assert watch.exceeded() is None
    watch.clock.passed = 11.1
    assert watch.exceeded() == "time"


def test_a_scratch_folder_without_a_lock_goes_when_it_is_old(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    new, old = (tmp_path / f"{scratch.PREFIX}{name}" for name in ("new", "old"))
    new.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    with scratch.scratch_folder():
        assert new.exists() and not old.exists()


def test_the_scratch_folder_is_ours_alone_and_a_killed_graders_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed, used = tmp_path / f"{scratch.PREFIX}a", tmp_path / f"{scratch.PREFIX}b"
    for folder in (killed, used):
        tree(folder, scratch.LOCK, "tmp/in/x")
    (tmp_path / f"{scratch.PREFIX}link").symlink_to(tmp_path)
    with open(used / scratch.LOCK) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with scratch.scratch_folder() as folder:
            assert folder.stat().st_mode & 0o777 == 0o700
            assert not killed.exists() and used.exists()
    assert not folder.exists()


def test_ctrl_c_ends_it_all_at_once_and_leaves_nothing(tmp_path):
    for name in ("ann", "ben"):
        answers = {"linear-backward": "import time; time.sleep(1000)"}
        type_in("03_linear", tmp_path / "class" / name / "03_linear.ipynb", answers)
    command = [sys.executable, "-m", "coursekit", "grade", str(tmp_path / "class")]
    command += ["--assignment", "3", "--out", str(tmp_path / "out"), "--timeout", "300"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not list(temporary.glob(f"{scratch.PREFIX}*/tmp*/in/linear-shared.bin")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.1)
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert list(temporary.iterdir()) == []
