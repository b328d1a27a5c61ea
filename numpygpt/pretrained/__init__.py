"""Published models in our own: GPT-2's files, from chapter 21. This file is written by hand."""

from numpygpt.lazy import lazy_names

HOMES = {
    "from_pretrained": "gpt2",
    "load_pretrained": "gpt2",
    "save_pretrained": "gpt2_export",
}
__all__ = list(HOMES)
__getattr__, __dir__ = lazy_names(__name__, HOMES)
