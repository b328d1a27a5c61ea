"""A forked program does what a new one would: so the tests may use it in its place."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import warm
from answers import REPOSITORY

SHOW = """
import os, sys
import numpy as np
print(os.getcwd(), sys.argv, sys.path[:2], os.environ["SEEN"], __name__)
print(np.random.random(), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
SLEEP = "import time\nprint('here', flush=True)\ntime.sleep(40)\n"


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """The socket of a server, and a folder with two modules to run."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "show.py").write_text(SHOW)
    (folder / "sleep.py").write_text(SLEEP)
    path = str(folder / "socket")
    command = [sys.executable, warm.__file__, "serve", path]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as server:
        yield path, folder
        server.stdin.close()
        assert server.wait(30) == 0


@pytest.fixture
def command(where, monkeypatch):
    """A function that makes a command of a module and its arguments."""
    path, folder = where
    monkeypatch.setenv(warm.WHERE, path)
    monkeypatch.setenv("SEEN", "by both")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.chdir(folder)
    return lambda *words: [sys.executable, "-m", *words]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


def test_a_fork_sees_what_a_new_process_sees_and_draws_other_numbers(command):
    plain = command("show", "3", "a word")
    alone, fork, another = run(plain), run(warm.warm(plain)), run(warm.warm(plain))
    # The name of the program differs: a module's path, as `-m` makes it, in both.
    assert fork[:2] == alone[:2] and alone[0] == 3
    assert len({alone[2][-1], fork[2][-1], another[2][-1]}) == 3


def test_who_sets_what_is_read_at_the_start_gets_a_process_of_their_own(command, monkeypatch):
    count = "import sys; print(len(sys.modules), sys.flags.optimize)"
    with open("count.py", "w") as file:
        file.write(count)
    many, optimize = run(warm.warm(command("count")))[1][0].split()
    assert int(many) > 500 and optimize == "0"
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    few, optimize = run(warm.warm(command("count")))[1][0].split()
    assert int(few) < 500 and optimize == "1"


def test_a_module_of_the_same_name_where_it_runs_is_the_one_that_is_imported(command, tmp_path):
    os.chdir(tmp_path)
    for name in ("html", "show"):  # one that the server has, one that it has not
        with open(f"{name}.py", "w") as file:
            file.write("import html\nprint(html.__file__)")
    assert run(warm.warm(command("show")))[1] == [str(tmp_path / "html.py")] * 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_fork_and_ends_who_asked(command, number):
    with subprocess.Popen(
        warm.warm(command("sleep")), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as asker:
        assert asker.stdout.readline() == "here\n"
        asker.send_signal(number)
        code = asker.wait(15)
    assert code == (1 if number == signal.SIGINT else -signal.SIGTERM)


def test_a_fork_ends_with_who_asked(command):
    with subprocess.Popen(warm.warm(command("sleep")), stdout=subprocess.PIPE, text=True) as asker:
        assert asker.stdout.readline() == "here\n"
        forks = [p for p in psutil.process_iter() if sleeps(p)]
        asker.kill()
    assert forks
    end = time.monotonic() + 30
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in forks):
        assert time.monotonic() < end
        time.sleep(0.05)


def sleeps(process):
    try:
        return process.cwd() == os.getcwd() and "serve" in process.cmdline()
    except psutil.Error:
        return False
