"""What ranks say to each other over their sockets, with a thread for each rank and no MPI."""

import json
import socket
import threading

import pytest

from numpygpt.cli import ranks
from numpygpt.cli.errors import UsageError
from numpygpt.cli.ranks import Alone, Silent, Watch, on_every_rank, refuse_to_be_many
from numpygpt.data import DataError
from numpygpt.distributed import DistributedError

WAIT = 20  # seconds, for what takes milliseconds


class Ended(SystemExit):
    """Stands for the end of a rank's process; a thread ends with it in silence."""


class Office:
    """What the threads share: a place where all ranks meet, and how each of them has ended."""

    def __init__(self, size):
        self.size, self.barrier, self.words = size, threading.Barrier(size), [None] * size
        self.ends, self.new_end = {}, threading.Condition()

    def end(self, rank, code):
        with self.new_end:
            self.ends.setdefault(rank, code)
            self.new_end.notify_all()

    def all_ended(self, number):
        with self.new_end:
            return self.new_end.wait_for(lambda: len(self.ends) >= number, WAIT)


class World:
    """The world as one rank sees it."""

    def __init__(self, office, rank):
        self.office, self.rank, self.size = office, rank, office.size

    def gather(self, value):
        self.office.words[self.rank] = value
        self.office.barrier.wait(WAIT)
        words = list(self.office.words)
        self.office.barrier.wait(WAIT)
        return words


@pytest.fixture
def watches(monkeypatch, tmp_path):
    """Make the Watch of each of some ranks; a rank that ends is written down in their office."""
    made = []
    monkeypatch.setattr(threading, "excepthook", lambda args: None)  # threads that have ended

    def make(size, host=None):
        office, found = Office(size), [None] * size

        class Rank(Watch):
            def end(self, message, code=2):
                here.rank = self.rank
                super().end(message, code)

        def start(rank):
            found[rank] = Rank(World(office, rank), tmp_path / "checkpoint.npz")

        threads = [
            threading.Thread(target=start, args=(rank,), daemon=True) for rank in range(size)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert all(found), "the ranks have not met"
        made.extend(found)
        offices.append(office)
        return office, found

    here, offices = threading.local(), []

    def exits(code):
        offices[-1].end(here.rank, code)
        raise Ended

    monkeypatch.setattr(ranks.os, "_exit", exits)
    monkeypatch.setattr(ranks.time, "sleep", lambda seconds: None)
    yield make
    hang_up(made)


def cut(watch):
    """What the system does when the process of a rank ends: all its sockets are closed.

    Its own threads, which would be gone by then, hear them close one by one, and may say nothing.
    """
    watch.ending.acquire()
    for line in watch.lines.values():
        line.shutdown(socket.SHUT_RDWR)


def hang_up(watches):
    for watch in watches:
        for line in watch.lines.values():
            line.close()


def told(capsys):
    return capsys.readouterr().err.splitlines()


def test_a_rank_that_is_lost_is_named_once_and_ends_the_others(watches, capsys):
    office, found = watches(3)
    cut(found[2])
    assert office.all_ended(2)
    assert office.ends == {0: 2, 1: 2}
    [line] = told(capsys)
    assert line.startswith("numpygpt train: rank 2 (process ")
    assert line.endswith(") was lost; there is no checkpoint yet") and " on " in line


@pytest.mark.parametrize("size", [2, 3])
def test_when_rank_0_is_lost_rank_1_says_so_and_no_other(watches, capsys, size):
    office, found = watches(size)
    cut(found[0])
    assert office.all_ended(size - 1)
    [line] = told(capsys)
    assert line.startswith("numpygpt train: rank 0 (process ")


@pytest.mark.parametrize(
    ("rank", "complaint", "code", "line"),
    [
        (2, "train.bin is missing", 7, "rank 2: train.bin is missing"),
        (0, "the disk is full", 130, "the disk is full"),
    ],
)
def test_what_a_rank_complains_of_is_told_once_by_rank_0_with_its_number_and_code(
    watches, capsys, rank, complaint, code, line
):
    office, found = watches(3)
    threading.Thread(target=found[rank].fail, args=(complaint, code), daemon=True).start()
    assert office.all_ended(3)
    assert told(capsys) == [f"numpygpt train: {line}"]
    assert office.ends == {0: code, 1: 2, 2: 2}


def test_ranks_that_are_done_may_go(watches, capsys):
    before = set(threading.enumerate())
    office, found = watches(3)
    for watch in found:
        watch.close()
    for watch in found:
        cut(watch)
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT)
    assert office.ends == {} and told(capsys) == []


def test_a_complaint_that_nobody_hears_ends_its_rank_all_the_same(monkeypatch, capsys):
    monkeypatch.setattr(ranks.os, "_exit", lambda code: boom(Ended(code)))
    monkeypatch.setattr(ranks.time, "sleep", lambda seconds: None)
    watch = lone_watch(1, socket.socket())  # a line that leads nowhere
    with pytest.raises(Ended) as end:
        watch.fail("train.bin is missing", 3)
    assert end.value.code == 3 and told(capsys) == ["numpygpt train: train.bin is missing"]
    hang_up([watch])


def lone_watch(rank, line):
    watch = object.__new__(Watch)
    watch.rank, watch.lines, watch.ending = rank, {0: line}, threading.Lock()
    return watch


def test_a_stranger_takes_no_ranks_place(monkeypatch):
    monkeypatch.setattr(ranks.os, "_exit", lambda code: threading.Event().wait())
    monkeypatch.setattr(ranks.secrets, "token_hex", lambda: "the secret")
    office, found, real = Office(2), {}, socket.create_server

    def knocked_at(*address, **options):
        server = real(*address, **options)
        for words in (b"another secret\n1\n", b"\n"):
            stranger = socket.create_connection(server.getsockname())
            stranger.sendall(words)
            strangers.append(stranger)
        return server

    strangers = []
    monkeypatch.setattr(ranks.socket, "create_server", knocked_at)

    def start(rank):
        found[rank] = Watch(World(office, rank), "checkpoint.npz")

    threads = [threading.Thread(target=start, args=(rank,), daemon=True) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert found[0].lines.keys() == {1} and found[1].lines.keys() == {0}
    assert found[0].lines[1].getpeername() == found[1].lines[0].getsockname()
    for watch in found.values():
        watch.close()
    for watch in found.values():
        cut(watch)
    hang_up(found.values())
    for stranger in strangers:
        stranger.close()


@pytest.mark.parametrize(
    ("hosts", "bound"), [(["here", "here"], "127.0.0.1"), (["here", "there"], "")]
)
def test_only_ranks_on_several_machines_are_reached_from_outside(monkeypatch, hosts, bound):
    """Rank 0's side alone; its gathers are answered by hand."""
    asked = {}

    class Server:
        def getsockname(self):
            return "", 4321

        def accept(self):
            line, other = socket.socketpair()
            other.sendall(secret.encode() + b"\n1\n")
            asked["other"] = other
            return line, None

        def close(self):
            asked["closed"] = True

    class Rank0:
        rank, size = 0, 2

        def gather(self, value):
            if isinstance(value, tuple):
                asked["told"] = value
                return [value, None]
            if value == secret:
                return [value, "the other's"]
            return [f"process 1 on {host}" for host in hosts]

    secret = "0f"
    monkeypatch.setattr(ranks.secrets, "token_hex", lambda: secret)
    monkeypatch.setattr(ranks.socket, "gethostname", lambda: "here")
    monkeypatch.setattr(
        ranks.socket,
        "create_server",
        lambda address: asked.update(address=address) or Server(),
    )
    watch = Watch(Rank0(), "checkpoint.npz")
    assert asked["address"] == (bound, 0) and asked["closed"]
    assert asked["told"] == (bound or "here", 4321)
    asked["other"].sendall(b"done\n")
    watch.close()
    assert asked["other"].makefile("rb").readline() == b"done\n"
    asked["other"].close()
    hang_up([watch])


# ---- around a run ----


@pytest.mark.parametrize("environment", [{}, {"OMPI_COMM_WORLD_SIZE": "1"}, {"PMI_SIZE": "1"}])
def test_one_process_may_train_alone(monkeypatch, environment):
    only(monkeypatch, environment)
    refuse_to_be_many()


@pytest.mark.parametrize("prefix", ["OMPI_COMM_WORLD_", "PMI_"])
def test_of_several_processes_that_do_the_same_the_first_says_so(monkeypatch, prefix):
    only(monkeypatch, {f"{prefix}SIZE": "3", f"{prefix}RANK": "0"})
    with pytest.raises(UsageError, match="^3 processes of mpiexec do the same: add --distributed$"):
        refuse_to_be_many()
    monkeypatch.delenv(f"{prefix}RANK")
    with pytest.raises(UsageError):
        refuse_to_be_many()
    monkeypatch.setenv(f"{prefix}RANK", "2")
    with pytest.raises(SystemExit) as end:
        refuse_to_be_many()
    assert end.value.code == 0


def only(monkeypatch, environment):
    for prefix in ("OMPI_COMM_WORLD_", "PMI_"):
        for name in ("SIZE", "RANK"):
            monkeypatch.delenv(prefix + name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def boom(error):
    raise error


@pytest.fixture
def alone(monkeypatch):
    """`on_every_rank` in a world of one; a process that ends raises Ended with its code."""
    monkeypatch.setattr(ranks, "connect", Alone)
    monkeypatch.setattr(ranks.os, "_exit", lambda code: boom(Ended(code)))


def test_a_run_gives_back_its_code(alone):
    seen = []
    assert on_every_rank(lambda world: seen.append(world.size) or 5, "checkpoint.npz") == 5
    assert seen == [1]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("no such data"), 2, "numpygpt train: no such data"),
        (OSError(28, "No space left", "x.npz"), 2, "numpygpt train: x.npz: No space left"),
        (KeyboardInterrupt(), 130, "numpygpt train: interrupted"),
    ],
)
def test_a_mistake_in_a_run_is_one_line_and_ends_the_process(alone, capsys, error, code, line):
    with pytest.raises(Ended) as end:
        on_every_rank(lambda world: boom(error), "checkpoint.npz")
    assert end.value.args == (code,) and told(capsys) == [line]


def test_what_is_no_mistake_of_the_users_is_told_in_full(alone, capsys):
    with pytest.raises(Ended) as end:
        on_every_rank(lambda world: boom(ZeroDivisionError("our own")), "checkpoint.npz")
    lines = told(capsys)
    assert end.value.args == (2,) and lines[0].startswith("numpygpt train: Traceback")
    assert lines[-1] == "ZeroDivisionError: our own"


def test_without_mpi_the_option_is_named(monkeypatch):
    monkeypatch.setattr(ranks, "connect", lambda: boom(DistributedError("an MPI is needed")))
    with pytest.raises(UsageError, match="^--distributed: an MPI is needed$"):
        on_every_rank(None, "checkpoint.npz")


def test_alone_there_is_one_rank_and_silence_says_nothing(capsys):
    assert (Alone.rank, Alone.size, Alone().gather("x")) == (0, 1, ["x"])
    silent = Silent()
    assert silent.write({}) is silent.show({}) is silent.close() is None
    assert capsys.readouterr() == ("", "")


def test_a_complaint_is_one_line_of_json():
    """What rank 0 reads with readline must end where the complaint does."""
    line, other = socket.socketpair()
    watch = lone_watch(1, line)
    threading.Thread(target=watch.fail, args=("two\nlines", 4), daemon=True).start()
    said = other.makefile("rb").readline()
    assert json.loads(said) == {"message": "two\nlines", "code": 4}
    line.close()
    other.close()
