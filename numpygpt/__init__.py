"""numpygpt: a GPT in NumPy, every gradient by hand. This file is written by hand."""

import sys
from importlib import import_module
from types import ModuleType

from numpygpt.lazy import lazy_names

__version__ = "0.1.0"

HOMES = {
    "GPT": "gpt",
    "GPTConfig": "gpt",
    "Llama": "llama",
    "LlamaConfig": "llama",
    "from_pretrained": "pretrained.folder",
}
__all__ = ["GPT", "GPTConfig", "Llama", "LlamaConfig", "from_pretrained", "gradcheck"]
__getattr__, __dir__ = lazy_names(__name__, HOMES)


class Package(ModuleType):
    """This package, of which `gradcheck` is the function, and not the module of that name."""

    @property
    def gradcheck(self):
        return import_module("numpygpt.gradcheck").gradcheck

    @gradcheck.setter
    def gradcheck(self, module):
        pass  # to load the module sets it as its package's attribute


sys.modules[__name__].__class__ = Package
