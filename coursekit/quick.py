"""Whatever reads a notebook starts a second and a half sooner: load it before nbformat.

nbformat, jupytext and nbval load jsonschema, and that loads rfc3987_syntax, which builds 39 parsers
of internationalized addresses. No notebook holds one, so the module waits until it is called.
"""

import importlib
import sys
from importlib.util import find_spec
from types import ModuleType

SLOW = "rfc3987_syntax"


class Waiting(ModuleType):
    """Stands for a module until one of its functions is called."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*args, **kwargs):
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            return getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)

        return call


# Without it jsonschema leaves out what needs it: then nothing may stand in its place.
if SLOW not in sys.modules and (found := find_spec(SLOW)):
    sys.modules[SLOW] = Waiting(SLOW)
    sys.modules[SLOW].__spec__ = found
