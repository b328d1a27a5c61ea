"""`python -m coursekit.lab`, which `make lab` runs: what it starts, and what it leaves alone."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from jupyterlab_server.settings_utils import get_settings

from coursekit import lab
from coursekit.build import METADATA

ROOT = Path(__file__).parents[1]
NEWS = "@jupyterlab/apputils-extension:notification"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """What it writes for JupyterLab is in force, and a reader's own settings in tmp_path/own."""
    (tmp_path / "ours").mkdir()
    for name, value in lab.write_settings(tmp_path / "ours").items():
        monkeypatch.setenv(name, value)
    own = tmp_path / "own"
    own.mkdir()
    return own


def test_the_kernel_tells_jupyterlab_what_is_stored_in_a_notebook_already(settings):
    # JupyterLab puts both into the notebook. Anything new there, and it is marked as changed.
    manager = KernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager())
    spec = manager.kernel_spec
    named = {"display_name": spec.display_name, "language": spec.language, "name": "python3"}
    assert named == METADATA["kernelspec"]
    assert spec.argv[0] == sys.executable
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        told = client.kernel_info(reply=True, timeout=60)["content"]["language_info"]
        client.stop_channels()
    finally:
        manager.shutdown_kernel(now=True)
    assert told == METADATA["language_info"]


def default(setting, own):
    app = Path(sys.prefix, "share", "jupyter", "lab")
    found, _ = get_settings(str(app / "settings"), str(app / "schemas"), str(own), NEWS)
    own_choice = found["settings"].get(setting)
    return found["schema"]["properties"][setting]["default"] if own_choice is None else own_choice


def test_jupyter_does_not_ask_about_news_or_look_for_updates(settings):
    assert (default("fetchNews", settings), default("checkForUpdates", settings)) == (
        "false",
        False,
    )


def test_who_wants_the_news_keeps_them(settings):
    path = settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    path.parent.mkdir(parents=True)
    path.write_text('{"fetchNews": "true"}')
    assert default("fetchNews", settings) == "true"


def test_a_reader_s_own_folders_of_settings_are_still_looked_at(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "mine")
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    written = lab.write_settings(tmp_path)
    assert written["JUPYTER_CONFIG_PATH"] == f"{tmp_path}{os.pathsep}mine"
    assert written["JUPYTER_PATH"] == str(tmp_path)


FIRST = "--LabApp.default_url=/lab/tree/notebooks/00_welcome.ipynb"


@pytest.mark.parametrize(
    ("given", "root", "handed_on"),
    [
        ([], False, [FIRST]),
        (["--port=9"], False, [FIRST, "--port=9"]),
        (["--LabApp.default_url=/tree"], False, ["--LabApp.default_url=/tree"]),
        (["--port=9"], True, [FIRST, "--allow-root", "--port=9"]),
        (["--allow-root"], True, [FIRST, "--allow-root"]),
    ],
)
def test_the_options_are_jupyterlabs_and_root_is_allowed(given, root, handed_on, capsys):
    assert lab.options(given, root) == handed_on
    said = capsys.readouterr().out
    assert said.count("\n") == (root and "--allow-root" not in given)
    assert said == "" or "you are root" in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM and no select on pipes")
def test_make_lab_opens_the_book_from_any_folder_also_for_root(tmp_path):
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    environment = os.environ | {name: str(tmp_path / name) for name in names}
    environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "coursekit.lab", "--no-browser", "--port=0"]
    server = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, end = b"", time.monotonic() + 120
    try:
        while b"/lab/tree/notebooks/00_welcome.ipynb?token=" not in said:
            assert select.select([server.stdout], [], [], end - time.monotonic())[0], said.decode()
            line = server.stdout.readline()
            assert line, said.decode()
            said += line
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    assert f"Serving notebooks from local directory: {ROOT}\n" in said.decode()
    assert not list(tmp_path.glob("tmp*"))  # what it wrote for JupyterLab is gone
