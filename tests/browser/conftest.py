"""The book as `make lab` opens it, with copies of the notebooks, and a real Chromium."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from chromium import launched
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
SETTINGS = {
    # All cells in the page, also those that are out of sight.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """The address of a JupyterLab that runs until the tests end, and the folder that it shows."""
    folder = tmp_path_factory.mktemp("book")
    for name in ("notebooks", "exercises", "solutions", "docs"):  # it follows no links
        shutil.copytree(ROOT / name, folder / name)
    os.symlink(ROOT / "data", folder / "data")
    for name, values in SETTINGS.items():
        path = folder / "settings" / "lab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    names = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"]
    environment = os.environ | {name: str(folder / "settings" / name) for name in names}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings" / "lab")}
    environment |= {"PYTHONPATH": str(ROOT), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "coursekit.lab", "--no-browser", "--expose-app-in-browser"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
    with open(folder / "lab.log", "w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/api", server, folder / "lab.log")
        yield SimpleNamespace(address=address, folder=folder)
    finally:
        # Its kernels as well, also after Ctrl-C.
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(address, server, log, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            return urllib.request.urlopen(address, timeout=2)
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab does not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def browser():
    with launched(sync_playwright, pytest.fail) as browser:
        yield browser


@pytest.fixture
def notebook(lab, browser):
    """Open a notebook, by its path or a chapter's name; return the page when it is drawn."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(30_000)

    def open(name):
        path = name if "/" in name else f"notebooks/{name}.ipynb"
        page.goto(f"{lab.address}/lab/tree/{path}?reset")
        page.wait_for_selector(".jp-Notebook .jp-RenderedMarkdown h1")
        return page

    yield open
    page.evaluate("window.jupyterapp.serviceManager.sessions.shutdownAll()")
    assert page.request.get(f"{lab.address}/api/kernels").json() == []  # or there are 60 in the end
    page.close()
