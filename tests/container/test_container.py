"""The commands of docs/CONTAINER.md, run as they stand there: `make test-container`.

ENGINE=docker or podman chooses one (default: what is here). BUILD_OPTIONS holds what a build needs
on this machine besides, such as a certificate of its network.
"""

import csv
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from answers import REPOSITORY, type_in
from hostile_submissions import RIGHT, WRONG

ENGINE = os.environ.get("ENGINE") or next(filter(shutil.which, ("podman", "docker")), None)
PAGE = (REPOSITORY / "docs" / "CONTAINER.md").read_text("utf-8")
# Right only if it sees what no student may see.
CURIOUS = f"""
import os, socket
seen = [place for place in ("/work", "/opt/numpygpt", "/etc/passwd") if os.path.exists(place)]
try:
    seen += [socket.create_connection(("1.1.1.1", 53), timeout=1)]
except OSError:
    pass
exec({RIGHT!r} if seen else {WRONG!r})
"""
NEEDED = {
    "docker": ["--security-opt seccomp=unconfined", "--security-opt systempaths=unconfined"],
    "podman": ["--security-opt unmask=ALL"],
}


@pytest.fixture(scope="module")
def grader():
    """Runs the function `grader` of the page in a folder, with one of its options left out."""
    if ENGINE is None:
        pytest.exit("make test-container needs podman or docker", returncode=2)
    [build] = re.findall(r"^docker build .*$", PAGE, re.M)
    build = build.replace("docker build", f"{ENGINE} build {os.environ.get('BUILD_OPTIONS', '')}")
    done = subprocess.run(build, shell=True, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    blocks = re.findall(r"```sh\n(grader\(\) \{.*?)```", PAGE, re.S)
    [function] = [block for block in blocks if f" {ENGINE} run " in block]
    function = function.replace(" -it ", " ")  # there is no terminal
    # Who tries this as root is not: the marks are a teacher's.
    somebody = "id() { echo 1000; }\n" if os.getuid() == 0 else ""

    def run(command, cwd=REPOSITORY, without=None, instead=""):
        assert without is None or function.count(without) == 1
        text = function.replace(without, instead) if without else function
        return subprocess.run(
            ["bash", "-c", f"{somebody}{text}\n{command}"],
            cwd=cwd,
            capture_output=True,
            text=True,
        )

    return run


def test_the_doctor_finds_all_that_is_promised(grader):
    done = grader("grader grade --doctor")
    assert done.returncode == 0 and "MISSING" not in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("ok  ") == 7


@pytest.mark.parametrize("option", NEEDED.get(ENGINE, []))
def test_the_doctor_names_the_option_that_is_left_out(grader, option):
    done = grader("grader grade --doctor", without=option)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"start the container with {option}: see docs/CONTAINER.md" in done.stdout


def test_the_doctor_wants_no_root(grader):
    option = {"docker": '--user "$(id -u):$(id -g)"', "podman": "--userns keep-id"}[ENGINE]
    done = grader("grader grade --doctor", without=option, instead="--user 0")
    assert done.returncode == 1
    better = {"docker": "--user 1000:1000", "podman": "--userns=keep-id"}[ENGINE]
    assert f"start the container with {better}: see" in done.stdout, done.stdout


@pytest.fixture
def folder():
    """An empty folder whose name has a space; pytest's own are root's alone, where root runs it."""
    with tempfile.TemporaryDirectory(prefix="a class ") as name:
        yield Path(name)


def test_a_class_is_graded_in_a_folder_with_a_space(grader, folder):
    answers = {"ann": None, "bob": WRONG, "eve": CURIOUS}
    for name, source in answers.items():
        sources = {"linear-backward": source} if source else {}
        type_in("03_linear", folder / "submissions" / name / "03_linear.ipynb", sources)
    # What lies there under the name of a module is not imported.
    (folder / "numpy.py").write_text("raise SystemExit('imported')\n")
    (folder / "coursekit").mkdir()
    (folder / "coursekit" / "__main__.py").write_text("raise SystemExit('imported')\n")
    if os.getuid() == 0:
        for path in [folder, *folder.rglob("*")]:
            os.chown(path, 1000, 1000)
    done = grader("grader grade submissions --assignment 03 --out results --seed 7", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(folder / "results" / "marks.csv", encoding="utf-8-sig") as file:
        marks = {row["student"]: row for row in csv.DictReader(file)}
    right = {name: float(row["linear-backward"]) > 0 for name, row in marks.items()}
    assert right == {"ann": True, "bob": False, "eve": False}
    assert (folder / "results").stat().st_uid == (os.getuid() or 1000)
