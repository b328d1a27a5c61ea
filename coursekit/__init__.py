"""What builds the book and checks its exercises, and the functions that its notebooks call."""

from importlib import import_module

# Loaded on first use: a chapter that only exports need not load what checks exercises.
HOMES = {
    "add_to_class": "notebook",
    "export": "notebook",
    "check": "checking.check",
    "hint": "checking.check",
    "status": "checking.check",
    "adopt": "checking.adopt",
    "names_used": "checking.whose",
    "review": "memory.panel",
}
__all__ = list(HOMES)


def __getattr__(name):
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
