"""Names that load their module on first use. Written by hand.

Chapter 3 imports `numpygpt.nn` when the module of chapter 10 may not exist yet, or may hold a
reader's unfinished code; so a package must not import all of its modules at once (PEP 562).
"""

from importlib import import_module


def lazy_names(package, homes):
    """Return `__getattr__` and `__dir__` for a package whose public names live in `homes`.

    Args:
        package: the package's `__name__`.
        homes: public name -> module, relative to the package, that defines it.
    """

    def __getattr__(name):
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    def __dir__():
        return sorted(homes)

    return __getattr__, __dir__
