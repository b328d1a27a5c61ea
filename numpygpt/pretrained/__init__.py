"""Published models in our own: files of GPT-2, Llama, Qwen3. This file is written by hand."""

from numpygpt.lazy import lazy_names

HOMES = {
    "from_pretrained": "folder",
    "load_pretrained": "folder",
    "save_pretrained": "folder",
}
__all__ = list(HOMES)
__getattr__, __dir__ = lazy_names(__name__, HOMES)
