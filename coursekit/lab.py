"""python -m coursekit.lab: the book in JupyterLab. `make lab` runs it.

Left alone, JupyterLab marks a notebook as changed as soon as its kernel has started, because it
notes in it which Python that is; it asks whether it may show news, over the page; and it does not
start for root. The options on the command line are JupyterLab's own.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from ipykernel.ipkernel import IPythonKernel

FIRST = "notebooks/00_welcome.ipynb"
# Defaults: a reader who has chosen otherwise keeps that.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}


class Kernel(IPythonKernel):
    """Python's kernel, except that it does not tell the version: the stored notebooks have none."""

    language_info = {k: v for k, v in IPythonKernel.language_info.items() if k != "version"}


def write_settings(folder):
    """Write what JupyterLab shall find before all else; return the variables that say where."""
    from ipykernel.kernelspec import write_kernel_spec

    ours = ["--IPKernelApp.kernel_class=coursekit.lab.Kernel"]
    write_kernel_spec(folder / "kernels" / "python3", extra_arguments=ours)
    (folder / "labconfig").mkdir()
    defaults = folder / "labconfig" / "default_setting_overrides.json"
    defaults.write_text(json.dumps(SETTINGS), encoding="utf-8")
    return {
        name: os.pathsep.join(filter(None, [str(folder), os.environ.get(name)]))
        for name in ("JUPYTER_PATH", "JUPYTER_CONFIG_PATH")
    }


def options(given, root):
    """JupyterLab's options: those given, and ours.

    Args:
        root: whether root runs this, whom Jupyter's server refuses.
    """
    ours = []
    if not any(option.startswith("--LabApp.default_url=") for option in given):
        ours.append(f"--LabApp.default_url=/lab/tree/{FIRST}")
    if root and "--allow-root" not in given:
        print("you are root, as in a container: JupyterLab starts with --allow-root", flush=True)
        ours.append("--allow-root")
    return ours + given


def main(given):
    from jupyterlab.labapp import LabApp

    if not Path(FIRST).is_file():
        os.chdir(Path(__file__).parents[1])
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= write_settings(Path(folder))
        LabApp.launch_instance(options(given, root))


if __name__ == "__main__":
    main(sys.argv[1:])
