"""The environment of the Pythons that we start: no setting of the user's, and UTF-8 everywhere."""

import os
from pathlib import Path

# What begins so is a setting: what it changes is not ours to depend on.
SETTINGS = (
    *("PYTHON", "PYTEST", "IPYTHON", "IPYKERNEL", "JUPYTER", "MATPLOTLIB", "MPLBACKEND"),
    *("COV_CORE", "COVERAGE", "COURSEKIT"),
)
# Except for what says where Python and its modules are, and where it may write.
PLACES = {
    *("PYTHONHOME", "PYTHONPATH", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR"),
    *("PYTHONEXECUTABLE", "PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE"),
}
# Several run at a time, and the order of a sum depends on the number of threads.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def environment(scratch, *first):
    """The variables for a Python that runs a notebook.

    Args:
        scratch: an empty folder for the kernel's own files.
        first: folders in which it looks for modules first.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in PLACES or not name.startswith(SETTINGS)
    }
    folders = [*map(str, first), str(Path(__file__).parents[1]), kept.get("PYTHONPATH")]
    return kept | {
        "IPYTHONDIR": str(scratch),
        "JUPYTER_CONFIG_DIR": str(scratch),
        "JUPYTER_RUNTIME_DIR": str(scratch),
        "MATPLOTLIBRC": os.devnull,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONPATH": os.pathsep.join(filter(None, dict.fromkeys(folders))),
        "PYTHONUTF8": "1",  # whatever the locale
    }
