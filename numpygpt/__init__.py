"""numpygpt: a GPT in NumPy, every gradient by hand. This file is written by hand."""

# Imported at once, not lazily: the module and its function share a name, and the function must win.
from numpygpt.gradcheck import gradcheck
from numpygpt.lazy import lazy_names

__version__ = "0.1.0"

HOMES = {"GPT": "gpt", "GPTConfig": "gpt", "from_pretrained": "pretrained"}
__all__ = ["GPT", "GPTConfig", "from_pretrained", "gradcheck"]
__getattr__, __dir__ = lazy_names(__name__, HOMES)
