"""What comes out of a sandbox, byte by byte: results survive the way, and nothing else does."""

import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from coursekit.checking import wire
from coursekit.checking.cases import Case, Result
from coursekit.checking.record import Frames, frames
from coursekit.checking.tasks import load_set
from coursekit.checking.values import FromTuple


def test_results_survive_the_way_out():
    arrays = [np.arange(6.0).reshape(2, 3), np.arange(6).reshape(2, 3).T, np.array(True)]
    arrays += [np.zeros((0, 3), np.float32), np.arange(24.0).reshape(2, 3, 4)[:, ::2]]
    value = [[Result(0, "y", arrays), Result(1, "t", ["a", b"\0", None, 2.5, FromTuple([1])])]]
    [[y, t]] = wire.loads(wire.dumps(value))
    assert y.name == "y" and t.value == ["a", b"\0", None, 2.5, [1]]
    assert type(t.value) is list and type(t.value[-1]) is FromTuple
    for before, after in zip(arrays, y.value, strict=True):
        assert np.array_equal(before, after)
        assert (before.dtype, before.shape) == (after.dtype, after.shape)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def sent(value, *arrays):
    """The bytes of a JSON value, or of its text, and of arrays after it."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return b"".join(map(npy, [np.frombuffer(text, np.uint8), *arrays]))


def archive(count):
    """A zip archive, as results once came in: its entries all hold the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as zipped:
        for number in range(count):
            zipped.writestr(f"a{number}.npy", npy(np.zeros(3)))
    return file.getvalue()


ONE = {"$array": 0}
HOSTILE_BYTES = {
    "nothing": b"",
    "noise": bytes(range(256)) * 10,
    "a zip archive": archive(3),
    "a pickle": npy(np.array([{}], object), allow_pickle=True),
    "a shape that promises more": npy(np.zeros(2, np.uint8)).replace(b"(2,)", b"(2000000000000,)"),
    "a shape below zero": sent(ONE, np.zeros(2)).replace(b"(2,)", b"(-2,)"),
    "no array where one is named": sent(ONE),
    "an array that nothing names": sent([], np.zeros(2)),
    "an array used twice": sent([ONE, ONE], np.zeros(2)),
    "arrays in another order": sent([{"$array": 1}, ONE], np.zeros(2), np.ones(2)),
    "a torn array": sent(ONE, np.zeros(9))[:-1],
    "another class": sent({"$Popen": {"$dict": []}}),
    "a class without its parts": sent({"$Result": {"$dict": []}}),
    "a key that cannot be one": sent({"$dict": [[[1], 2]]}),
    "two keys": sent({"$tuple": [], "$dict": []}),
    "nested without end": sent(b"[" * 100_000),
    "two million lists": sent(b"[" + b"[]," * 2_000_000 + b"[]]"),
    "a number of a million digits": sent(b"9" * 1_000_000),
    "text that is no UTF-8": sent(b'"\xff\xfe"'),
    "an array of objects": sent(ONE, np.zeros(2)).replace(b"<f8", b"|O8"),
    "an array of text": sent(ONE, np.array(["abc"])),
}


@pytest.mark.parametrize("case", HOSTILE_BYTES)
def test_bytes_that_are_no_results_are_refused(case):
    with pytest.raises(ValueError, match="unreadable results"):
        wire.loads(HOSTILE_BYTES[case])


def test_cases_survive_the_way_in():
    for task in load_set("12_gpt").tasks.values():
        cases = list(task.cases(np.random.default_rng(0)))
        again = wire.loads(wire.dumps(cases))
        assert all(isinstance(case, Case) for case in again)
        assert [case.title for case in again] == [case.title for case in cases]
        assert all(a.new == b.new for a, b in zip(again, cases, strict=True))


def test_frames_come_whole_in_whatever_pieces_they_are_sent():
    def frame(name, data):
        return b"".join(len(part).to_bytes(8, "big") + part for part in (name, data))

    sent = frame(b"a", b"1" * 1000) + frame(b"b", b"") + frame("ü".encode(), b"3")
    whole = [("a", b"1" * 1000), ("b", b""), ("ü", b"3")]
    assert frames(sent) == whole
    for size in (1, 7, 1000):
        found = Frames()
        pieces = [found.feed(sent[at : at + size]) for at in range(0, len(sent), size)]
        assert sum(pieces, []) == whole
    assert frames(sent[:-1]) == whole[:2]
    assert frames((10**15).to_bytes(8, "big") + b"x") == []


def judging(data):
    """What a judge says of bytes, and its peak of memory in MB: in a process of its own."""
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from coursekit.checking.judge import Reference\n"
        "from coursekit.checking.tasks import find_set\n"
        "from coursekit.grading.judging import judged, room_for\n"
        "exercises = find_set('3')\n"
        "cases = list(exercises.tasks['linear-backward'].cases(np.random.default_rng(0)))\n"
        "reference = Reference(exercises, 'linear-backward', cases)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(judged(reference, room_for(reference), sys.stdin.buffer.read())[:2])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True)
    assert done.returncode == 0, done.stderr
    said, memory = done.stdout.decode().strip().split("\n")
    return said, int(memory) / 1024


def results(number):
    """Results with as many invented names, for each of the eighteen cases."""
    cases = len(
        list(load_set("03_linear").tasks["linear-backward"].cases(np.random.default_rng(0)))
    )
    return [[Result(0, f"{name:x}", 1) for name in range(number)]] + [[]] * (cases - 1)


HEAVY = {
    "invented names": wire.dumps(results(16_000)),
    "a result a thousand times": wire.dumps([[Result(0, "dx", 1)] * 1000] + results(0)[1:]),
    "a call that is none": wire.dumps([[Result(99, "dx", 1)]] + results(0)[1:]),
    "twenty megabytes": wire.dumps([[Result(0, "dx", np.zeros(2_500_000))]] + results(0)[1:]),
    "a long text": wire.dumps([[Result(0, "dx", "x" * 15_000_000)]] + results(0)[1:]),
    "lists of lists": sent(b"[" + b"[]," * 4_000_000 + b"[]]"),
}


@pytest.mark.parametrize("case", HEAVY)
def test_what_nobody_asked_for_is_not_even_compared(case):
    said, memory = judging(HEAVY[case])
    assert said == "(False, ['linear-backward: its results cannot be read'])"
    assert memory < 100
