"""What a control group bounds, as the kernel counts it: `make test-cgroup` brings the kernel."""

import subprocess
import sys

import pytest

from coursekit.grading.cgroup import Group

MB = 1 << 20
HOG = """
import os, time
for _ in range({processes}):
    if os.fork() == 0:
        hog = b"x" * ({megabytes} << 20)
        time.sleep({seconds})
        os._exit(0)
for _ in range({processes}):
    os.wait()
"""
FORKS = """
import os, time
for number in range(1000):
    try:
        if os.fork() == 0:
            time.sleep(60)
    except OSError:
        break
print(number)
"""


@pytest.fixture(scope="module")
def lent():
    group = Group.lent()
    assert group is not None, "run by make test-cgroup, where there are control groups"
    return group


def run(group, code):
    command = group.entered_by([sys.executable, "-c", code])
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_memory_of_all_processes_together_is_bounded(lent):
    group = lent.child(300 * MB, 50)
    with run(group, HOG.format(processes=4, megabytes=150, seconds=20)) as process:
        process.wait()
        peak = int((group.folder / "memory.peak").read_text())
        assert group.was_out_of_memory()
        assert 200 * MB < peak <= 300 * MB
        group.close()


def test_within_its_memory_nothing_is_ended(lent):
    group = lent.child(300 * MB, 50)
    with run(group, HOG.format(processes=2, megabytes=50, seconds=1)) as process:
        assert process.wait() == 0
        assert not group.was_out_of_memory()
        group.close()


def test_the_number_of_processes_is_bounded(lent):
    group = lent.child(300 * MB, 20)
    with run(group, FORKS) as process:
        assert 10 <= int(process.stdout.readline()) < 20
        group.close()


def test_closing_ends_what_is_left_and_removes_the_group(lent):
    group = lent.child(300 * MB, 50)
    process = run(group, HOG.format(processes=3, megabytes=1, seconds=60))
    process.stdout.close()
    group.close()
    assert process.wait(10) != 0 and not group.folder.exists()


def test_a_second_grader_in_the_same_process_is_lent_the_same_folder(lent):
    assert Group.lent().folder == lent.folder
