"""Where the book can be opened besides this computer, and README's links to there."""

import re

FIRST = "notebooks/00_welcome.ipynb"
BEGIN, END = "<!-- make build writes these lines -->\n", "<!-- to here -->\n"


def links(url, path):
    """Where a notebook opens, as {"colab": address, "binder": ..., "codespaces": ...}.

    Args:
        url: of the repository.
        path: of the notebook in it, such as "notebooks/03_linear.ipynb".
    """
    name = "/".join(url.rstrip("/").split("/")[-2:])
    return {
        "colab": f"https://colab.research.google.com/github/{name}/blob/colab/{path}",
        "binder": f"https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/{path}",
        "codespaces": f"https://codespaces.new/{name}",
    }


def with_links(text, url):
    """README's text with the addresses of chapter 0 between the two marks."""
    lines = [f"[{place}]: {link}\n" for place, link in links(url, FIRST).items()]
    marked = re.escape(BEGIN) + ".*?" + re.escape(END)
    return re.sub(marked, lambda _: BEGIN + "".join(lines) + END, text, flags=re.DOTALL)
