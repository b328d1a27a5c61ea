"""pyproject.toml, constraints.txt and environment.yml describe one environment."""

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINS = [Requirement(line) for line in LINES if line and not line.startswith("#")]

LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
MACOS = {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
WINDOWS = {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"}
PLACES = [
    pytest.param(
        {**system, "python_version": python, "python_full_version": f"{python}.9"},
        id=f"{system['sys_platform']}-{python}",
    )
    for system in (LINUX, MACOS, WINDOWS)
    for python in ("3.11", "3.12", "3.13", "3.14")
]


def pinned(name, place):
    """The versions that constraints.txt gives a package in one place."""
    return [
        Version(next(iter(pin.specifier)).version)
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name)
        and (pin.marker is None or pin.marker.evaluate(place))
    ]


def test_the_package_needs_numpy_alone():
    assert [Requirement(line).name for line in PROJECT["dependencies"]] == ["numpy"]


def test_dev_holds_the_book_and_what_tests_it():
    names = {Requirement(line).name: Requirement(line).extras for line in EXTRAS["dev"]}
    # With MPI: chapter 20 starts it, and no test may be left out for the lack of it.
    assert names["numpygpt"] == {"book", "mpi"}
    assert {"pytest", "pytest-xdist", "hypothesis"} <= set(names)


def test_conda_installs_what_pip_installs():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, through_pip = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    # Conda's own packages would be a second list of versions to keep: it brings Python and pip.
    name, version = python.split("=")
    assert name == "python" and Version(version) in SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert through_pip == {"pip": ["-c constraints.txt", "-e .[dev]"]}


def test_constraints_are_exact_and_name_no_address():
    for pin in PINS:
        assert [clause.operator for clause in pin.specifier] == ["=="], f"{pin} is not exact"
        assert pin.url is None and not pin.extras, f"{pin} is more than a version"
        # A local version, such as 2.13.0+cpu, is to be had on one machine only.
        assert not {"+", "*"} & set(str(pin.specifier)), f"{pin} is not a public version"
    assert [line for line in LINES if line.startswith("-") or "://" in line] == []


@pytest.mark.parametrize("place", PLACES)
def test_one_pin_for_each_package_and_inside_its_range(place):
    for line in [*PROJECT["dependencies"], *sum(EXTRAS.values(), [])]:
        wanted = Requirement(line)
        elsewhere = wanted.marker and not wanted.marker.evaluate(place)
        if wanted.name == PROJECT["name"] or elsewhere:
            continue
        versions = pinned(wanted.name, place)
        assert len(versions) == 1, f"{wanted.name} has the pins {versions}"
        assert versions[0] in wanted.specifier, f"{wanted.name} {versions[0]} is out of range"


def needed(name, extras, place):
    """Every requirement that installing a package brings in, as (package, its requirement)."""
    to_do, done = [(name, extra) for extra in ("", *extras)], set()
    while to_do:
        package, extra = to_do.pop()
        if (package, extra) in done:
            continue
        done.add((package, extra))
        try:
            lines = metadata.requires(package) or []
        except metadata.PackageNotFoundError:  # it is for another system: it cannot be asked here
            continue
        for requirement in map(Requirement, lines):
            if requirement.marker and not requirement.marker.evaluate({**place, "extra": extra}):
                continue
            yield package, requirement
            to_do += [(canonicalize_name(requirement.name), e) for e in ("", *requirement.extras)]


@pytest.mark.parametrize("place", PLACES)
def test_whatever_else_comes_with_it_is_pinned_too(place):
    found = list(needed("numpygpt", ["dev"], place))
    assert len({canonicalize_name(requirement.name) for _, requirement in found}) > 50
    for package, requirement in found:
        if requirement.name == PROJECT["name"]:
            continue
        versions = pinned(requirement.name, place)
        assert len(versions) == 1, f"{requirement}, needed by {package}, has the pins {versions}"
        assert versions[0] in requirement.specifier, f"{package} needs {requirement}"
