"""`coursekit grade --doctor`: what this machine offers to keep students' code apart.

Each line is tried out, in a sandbox as it grades with, and not looked up.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from coursekit.checking import wire
from coursekit.checking.tasks import ROOT
from coursekit.files import BookError
from coursekit.grading import obstacles
from coursekit.grading.cgroup import Group
from coursekit.grading.clock import waits
from coursekit.grading.sandbox import Sandbox

PROBE = """
import ctypes, json, os, resource

def refused(call):
    try:
        return call() in (-1, None)
    except OSError:
        return True

libc = ctypes.CDLL(None, use_errno=True)

def files():
    try:
        for number in range(10_000):
            open(f"/tmp/{number}", "w").close()
    except OSError:
        return number
    return None

found = {
    "processes": refused(lambda: os.fork() or os._exit(0)),
    "memory outside": refused(lambda: libc.memfd_create(b"x", 0))
    and refused(lambda: libc.shmget(0, 4096, 0o1600)),
    "namespaces": refused(lambda: libc.unshare(0x10000000)),
    "network": [line.split(":")[0].strip() for line in open("/proc/net/dev")][2:] in ([], ["lo"]),
    "files": files(),
    "address space": resource.getrlimit(resource.RLIMIT_AS)[0],
    "user": os.getuid(),
    "capabilities": [l for l in open("/proc/self/status") if l.startswith("CapEff")][0].split()[1],
    "the repository": os.path.exists(f"{ROOT}/book"),
}
os.write(int(os.environ["COURSEKIT_OUTPUTS"][3:]), frame("#found", json.dumps(found)))
"""
FRAME = """
def frame(name, text):
    parts = (name.encode(), text.encode())
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)
"""
BY_GROUP = "a control group of its own (cgroup v2) for each student: memory and processes, exactly"
BY_PROCESS = "one process for each student, under its own limits of memory and processor time"
LEND = "systemd-run --user --scope -p Delegate=yes"


def doctor():
    """Print what there is; return the exit code: 0 if students' code can be kept apart."""
    lines, good = [], True

    def say(right, text, advice=""):
        nonlocal good
        good = good and right
        lines.append(f"{'ok     ' if right else 'MISSING'}  {text}")
        if not right and advice:
            lines.append(f"         {advice}")

    found, problem = probe()
    say(found is not None, "bubblewrap starts a sandbox", problem)
    if found is None and obstacles.advice():
        lines.append(f"         {obstacles.advice()}")
    if found is not None:
        say(found["network"], "no network in it")
        say(not found["the repository"], "this repository cannot be seen in it")
        say(
            found["processes"] and found["namespaces"] and found["memory outside"],
            "seccomp: no new process, no namespace, no memory outside of a process",
            f"no filter for this processor ({os.uname().machine}): grade on x86_64 or aarch64",
        )
        say(int(found["capabilities"], 16) == 0, "no capability is left to it")
        say(
            found["files"] is not None,
            "the number of its temporary files is bounded",
            "the machine forbids it; only their size is bounded. A fresh container may allow it",
        )
        lines.append(f"         limits: {BY_GROUP if Group.lent() else BY_PROCESS}")
        if Group.lent() is None:
            lines.append(f"         limits by control groups (optional): {advice_on_groups()}")
    say(
        any(s for _, s in waits(os.getpid())) or Path("/proc/self/schedstat").exists(),
        "the kernel counts the time that a student waits for a processor",
        "without it, a busy machine makes students slow: grade with -j 1 and a larger --timeout",
    )
    print("\n".join(lines))
    print("students' code can be kept apart here" if good else "see what is MISSING above")
    return 0 if good else 1


def probe():
    """(what was found in a sandbox, ""), or (None, why there is none)."""
    with tempfile.TemporaryDirectory() as folder:
        library, job = Path(folder, "library"), Path(folder, "job")
        shutil.copytree(ROOT / "coursekit", library / "coursekit")
        (job / "in").mkdir(parents=True)
        os.chmod(folder, 0o755)
        try:
            sandbox = Sandbox(library, memory=2, private=[ROOT])
        except BookError as error:
            return None, str(error)
        source = f"ROOT = {str(ROOT)!r}\n{FRAME}{PROBE}"
        about = {"command": None, "limits": sandbox.limits(0, 30)}
        about["cells"] = [{"source": source, "check": None, "task": "probe"}]
        (job / "job.json").write_text(json.dumps(about), "utf-8")
        outcome = sandbox.run(job, 30, ["#run 0"])
        for name, data in outcome.frames:
            if name == "#found":
                return json.loads(data), ""
            if name == "#failed probe":
                return None, f"its own test fails: {wire.loads(data)}"
        said = outcome.errors.strip().split("\n")[-1] or "it said nothing"
        hint = " (does this machine forbid user namespaces?)" if "ermission" in said else ""
        return None, said if obstacles.advice() else f"{said}{hint}"


def advice_on_groups():
    if not Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "this machine has no cgroup v2, or gives none to this container"
    if os.getuid() == 0:
        return "start the container with a writable cgroup v2 (a cgroup namespace of its own)"
    if obstacles.engine():
        return "a container is seldom lent control groups, and what is promised holds without"
    if shutil.which("systemd-run"):
        return f"{LEND} {sys.executable} -m coursekit grade …"
    return "have a folder of /sys/fs/cgroup delegated to you"
