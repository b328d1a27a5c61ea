"""Pages with the structure of the site's, made from the built notebooks: enough to run them in."""

import html
import json
import sys
from pathlib import Path
from types import SimpleNamespace

from markdown_it import MarkdownIt

from coursekit.memory.folded import ID as FROM_MEMORY

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "site"))  # at the end: its names are short ones

from prepare import questions  # noqa: E402

FOLDERS = ("notebooks", "exercises")
PAGE = """<!doctype html>
<html lang="en" data-theme="light"><head><meta charset="utf-8"><title>{title}</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="../live/live.css">
<script type="module" src="../live/live.js"></script></head>
<body><main><article><h1>{title}</h1>
{body}
</article></main></body></html>
"""
FRONT = '<div id="live-progress"></div><div id="live-review"></div>'
CELL = """<div class="cell docutils container">
<div class="cell_input docutils container"><div class="highlight-ipython3 notranslate">
<div class="highlight"><pre><span></span>{source}
</pre></div></div></div>
{outputs}</div>"""
OUTPUT = """<div class="output {kind}"><div class="highlight"><pre>{text}</pre></div></div>"""


def cells_of(path):
    return json.loads((ROOT / path).read_text("utf-8"))["cells"]


def text_of(value):
    return value if isinstance(value, str) else "".join(value)


def printed(cell):
    """What a code cell has printed and shown as text: figures and tracebacks left out."""
    parts = []
    for output in cell.get("outputs", []):
        if output.get("name") == "stdout":
            parts.append(text_of(output["text"]))
        elif "text/html" not in output.get("data", {"text/html": ""}):
            parts.append(text_of(output["data"].get("text/plain", "")))
    return "".join(part.rstrip("\n") + "\n" for part in parts)


def code_cells(path):
    return [cell for cell in cells_of(path) if cell["cell_type"] == "code"]


def page(path):
    """The HTML of a notebook."""
    body = []
    cells = cells_of(path)
    for cell in cells[1:]:
        source = html.escape(text_of(cell["source"]))
        if cell["id"] == FROM_MEMORY:
            body.append(MarkdownIt().render(questions(SimpleNamespace(root=ROOT), path)))
            continue
        if cell["cell_type"] == "markdown":
            body.append(f"<p>{source}</p>")
            continue
        text = html.escape(printed(cell))
        shown = OUTPUT.format(kind="stream", text=text) if text else ""
        place = f'<div class="cell_output docutils container">{shown}</div>'
        body.append(CELL.format(source=source, outputs=place if cell["outputs"] else ""))
    title = html.escape(text_of(cells[0]["source"]).split("\n")[0].lstrip("# "))
    return PAGE.format(title=title, body="\n".join(body))


def write_pages(out):
    for folder in FOLDERS:
        (out / folder).mkdir(parents=True)
        for path in sorted((ROOT / folder).glob("*.ipynb")):
            text = page(path.relative_to(ROOT))
            (out / folder / f"{path.stem}.html").write_text(text, encoding="utf-8")
    front = PAGE.format(title="numpygpt", body=FRONT)
    (out / "index.html").write_text(front.replace("../live", "live"), encoding="utf-8")
