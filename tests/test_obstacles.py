"""What the doctor advises in a container: its engine's options, by what /proc says there."""

import pytest

from coursekit.grading import doctor, obstacles

# Lines of a real container's /proc/self/mountinfo: parts of /proc that the engine covers.
OWN = "77 76 0:44 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw\n"
COVERED = OWN + "56 77 0:44 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw\n"
DOCKER, PODMAN = ".dockerenv", "run/.containerenv"
DOCKERS = (
    "start the container with --security-opt seccomp=unconfined "
    "--security-opt systempaths=unconfined: see docs/CONTAINER.md"
)


@pytest.fixture
def machine(tmp_path):
    """Writes what a machine's files hold; returns the folder that stands for its root."""

    def write(mark=None, uid=1000, seccomp=0, mounts=OWN, label=None, settings=()):
        status = f"Name:\tcat\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nSeccomp:\t{seccomp}\n"
        files = {"proc/self/status": status, "proc/self/mountinfo": mounts}
        files |= {f"proc/sys/{name.replace('.', '/')}": f"{value}\n" for name, value in settings}
        files |= {"proc/self/attr/current": label} if label else {}
        files |= {mark: ""} if mark else {}
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("found", "said"),
    [
        # As the two engines start a container, and with root.
        ({"mark": DOCKER, "seccomp": 2, "mounts": COVERED}, DOCKERS),
        (
            {"mark": PODMAN, "seccomp": 2, "mounts": COVERED},
            "start the container with --security-opt unmask=ALL: see docs/CONTAINER.md",
        ),
        (
            {"mark": DOCKER, "uid": 0},
            "start the container with --user 1000:1000: see docs/CONTAINER.md",
        ),
        (
            {"mark": PODMAN, "uid": 0, "seccomp": 2},
            "start the container with --userns=keep-id: see docs/CONTAINER.md",
        ),
        # The host's security module.
        (
            {"mark": DOCKER, "label": "docker-default (enforce)\n"},
            "start the container with --security-opt apparmor=unconfined: see docs/CONTAINER.md",
        ),
        ({"mark": DOCKER, "label": "unconfined\n"}, ""),
        (
            {"mark": PODMAN, "label": "system_u:system_r:container_t:s0:c1,c2\0"},
            "start the container with --security-opt label=disable: see docs/CONTAINER.md",
        ),
        ({"mark": PODMAN, "label": "unconfined_u:system_r:spc_t:s0\0"}, ""),
        # Nothing is in the way; or the machine itself is.
        ({"mark": DOCKER}, ""),
        ({"mark": PODMAN, "seccomp": 2}, ""),
        (
            {"mark": DOCKER, "settings": [("kernel.apparmor_restrict_unprivileged_userns", 1)]},
            "on the machine that runs the containers: "
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        (
            {"settings": [("user.max_user_namespaces", 0)], "uid": 0, "mounts": COVERED},
            "sudo sysctl -w user.max_user_namespaces=15000",
        ),
        ({"settings": [("user.max_user_namespaces", 96365)]}, ""),
        ({"settings": [("kernel.unprivileged_userns_clone", 1)]}, ""),
    ],
)
def test_what_stands_in_the_way_is_named_by_the_option_that_removes_it(machine, found, said):
    assert obstacles.advice(machine(**found)) == said


def test_what_the_doctor_only_offers_is_called_optional(monkeypatch, capsys):
    found = {"network": True, "the repository": False, "processes": True, "namespaces": True}
    found |= {"memory outside": True, "capabilities": "0", "files": 4096}
    monkeypatch.setattr(doctor, "probe", lambda: (found, ""))
    monkeypatch.setattr(doctor.Group, "lent", lambda: None)
    assert doctor.doctor() == 0
    said = capsys.readouterr().out
    assert "limits by control groups (optional): " in said and "MISSING" not in said


def test_the_doctor_gives_the_advice_below_what_bubblewrap_says(monkeypatch, capsys, machine):
    root, advice = machine(mark=DOCKER, seccomp=2, mounts=COVERED), obstacles.advice
    monkeypatch.setattr(doctor, "probe", lambda: (None, "bwrap: No permissions"))
    monkeypatch.setattr(obstacles, "advice", lambda: advice(root))
    assert doctor.doctor() == 1
    lines = [line.strip() for line in capsys.readouterr().out.split("\n")]
    assert lines[:3] == ["MISSING  bubblewrap starts a sandbox", "bwrap: No permissions", DOCKERS]
