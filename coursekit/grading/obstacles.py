"""What keeps bubblewrap from making a sandbox here, and what to do about it.

bubblewrap makes a user namespace and mounts a /proc of its own in it. The engine of a container
forbids the one or the other, unless an option allows it: docker by a filter of system calls
(seccomp), docker and podman by covering parts of /proc, and the host's AppArmor or SELinux by its
rules. Some machines forbid user namespaces to all. What stands in the way can be read in /proc;
docs/CONTAINER.md says what each option gives away.
"""

from pathlib import Path

MARKS = {"podman": "run/.containerenv", "docker": ".dockerenv"}  # files that an engine leaves
OPTIONS = {
    "root": {"docker": "--user 1000:1000", "podman": "--userns=keep-id"},
    "filter": {"docker": "--security-opt seccomp=unconfined"},  # podman's filter lets it
    "proc": {
        "docker": "--security-opt systempaths=unconfined",
        "podman": "--security-opt unmask=ALL",
    },
    "apparmor": dict.fromkeys(MARKS, "--security-opt apparmor=unconfined"),
    "selinux": dict.fromkeys(MARKS, "--security-opt label=disable"),
}
# Settings of the kernel: the value that forbids user namespaces, and one that allows them.
SETTINGS = {
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),  # Ubuntu, from 23.10 on
    "kernel.unprivileged_userns_clone": ("0", "1"),  # Debian, up to 10
    "user.max_user_namespaces": ("0", "15000"),
}


def engine(root="/"):
    """The engine of the container that this is, "podman" or "docker", or None."""
    return next((name for name, mark in MARKS.items() if Path(root, mark).exists()), None)


def advice(root="/"):
    """What to do where a sandbox does not start; "" if nothing that we know stands in the way."""
    name = engine(root)
    options = [OPTIONS[each][name] for each in obstacles(root) if name in OPTIONS[each]]
    if options:
        return f"start the container with {' '.join(options)}: see docs/CONTAINER.md"
    commands = [
        f"sudo sysctl -w {setting}={allows}"
        for setting, (forbids, allows) in SETTINGS.items()
        if read(Path(root, "proc/sys", *setting.split("."))).strip() == forbids
    ]
    where = "on the machine that runs the containers: " if name else ""
    return where + "; ".join(commands) if commands else ""


def obstacles(root="/"):
    """Yield what stands in the way in a container: keys of OPTIONS."""
    process = Path(root, "proc/self")
    status = read(process / "status").splitlines()
    label = read(process / "attr/current").strip("\0\n")
    if any(line.split()[:2] == ["Uid:", "0"] for line in status):
        yield "root"
    if "Seccomp:\t2" in status:
        yield "filter"
    if any(
        line.split()[4].startswith("/proc/") for line in read(process / "mountinfo").splitlines()
    ):
        yield "proc"
    if label.endswith(")"):  # a profile and its mode: docker-default (enforce)
        yield "apparmor"
    elif label.count(":") >= 3 and ":spc_t:" not in label:  # user:role:type:level
        yield "selinux"


def read(path):
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:  # there is no such setting, or no security module is on
        return ""
