"""A handout as a student has it: its own command, in a kernel of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))
from answers import solutions, type_in  # noqa: E402

SET = "03_linear"


def run(folder, *arguments):
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "coursekit", *arguments],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        env=clean,
    )


def test_the_command_of_a_handout_checks_its_notebook(tmp_path):
    out = tmp_path / "hand out"
    assert run(ROOT, "handout", "03", "--out", str(out)).returncode == 0
    blank = run(out, "check")
    assert blank.returncode == 1 and blank.stdout.count("not written yet") == 3
    assert "0 of 7 points" in blank.stdout
    wrong = solutions(SET)["linear-shared"].replace("+= self.x", "= self.x")
    type_in(SET, out / f"{SET}.ipynb", {"linear-shared": wrong})
    done = run(out, "check", "3")
    assert done.returncode == 1 and "5 of 7 points" in done.stdout
    assert "linear-backward: right" in done.stdout and "dW WRONG" in done.stdout
    type_in(SET, out / f"{SET}.ipynb", {"linear-shared": "import os; os._exit(0)"})
    gone = run(out, "check")
    assert gone.returncode == 2 and gone.stderr.strip().endswith("or needs too much")
    type_in(SET, out / f"{SET}.ipynb")
    assert run(out, "check").returncode == 0
    assert "right" in run(out, "status").stdout
