"""Pages for Sphinx, made of the notebooks, the guides and README.md as they are committed.

Nothing is run. A figure leaves its notebook and becomes a file, with its size beside it, so that a
page is small and does not jump; a cell that only draws is folded; the map becomes an SVG.
"""

import base64
import hashlib
import io
import json
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from chart import chart
from dark import for_the_dark
from marks import without_marks
from PIL import Image

from coursekit.files import write
from coursekit.memory.cards import read_cards
from coursekit.memory.folded import ID as FROM_MEMORY
from coursekit.memory.folded import folded
from coursekit.source import source_of

PARTS = [
    ("Foundations", 0, 7, "Gradients that you can trust, the first layers, a loss, an optimizer: "
     "and a first model that writes."),
    ("The transformer", 8, 12, "Embeddings, LayerNorm and attention, each derived by hand, and the "
     "whole GPT with every gradient checked."),
    ("Text, training, sampling", 13, 19, "Tokenizers, data, the training loop, sampling, speed: "
     "your GPT learns Shakespeare."),
    ("Scale", 20, 21, "Many processes that train one model, and GPT-2's published weights in "
     "your code."),
    ("The model of today", 22, 99, "From GPT to a small chat model, one change at a time."),
]  # fmt: skip
ROMAN = ["I", "II", "III", "IV", "V"]
MAP_PICTURE = re.compile(r"^!\[([^\]]*)\]\((?:\.\./)?docs/map\.png\)$", re.MULTILINE)
ARROW = re.compile(r"(\d+) → (\d+)")
MAP = "A map of the chapters: an arrow leads from what you need first. Each chapter is a link."
TASK = re.compile(
    r"^(## Task \d+: .+?) \((\d+ points?), (\w+), about (\d+ minutes)\)$", re.MULTILINE
)
ROW = re.compile(
    r"^\| \[(?P<title>[^\]]+)\]\(notebooks/(?P<name>\w+)\.ipynb\) \| (?P<builds>[^|]+) "
    r"\|[^|]*\| (?P<minutes>[\d +]+) \|$",
    re.MULTILINE,
)
NAMED = re.compile(r"(?<![`\[])`(docs/[A-Z]+\.md)`(?![`\]])")
DRAWS = re.compile(r"^def (draw|plot)|coursekit\.figures|coursekit\.widgets", re.MULTILINE)
ASKED_AGAIN = (
    "The [front page](../index.md#your-questions) asks them again later, a few a day: each about "
    "when you would forget it."
)
SLIDERS = "Sliders stand here while the notebook runs; the figure above is one position of them."


@dataclass
class Chapter:
    """A row of README.md's table: `title` is "9 LayerNorm", `minutes` "70 + 75"."""

    name: str
    title: str
    builds: str
    minutes: str

    @property
    def number(self):
        return int(self.name[:2])

    @property
    def part(self):
        """1 to 5."""
        [part] = [n for n, part in enumerate(PARTS, 1) if part[1] <= self.number <= part[2]]
        return part

    @cached_property
    def total(self):
        return sum(map(int, self.minutes.split("+")))


class Book:
    """What is in the repository, and where its pages go."""

    def __init__(self, root, pages):
        self.root, self.pages = Path(root), Path(pages)
        self.readme = (self.root / "README.md").read_text("utf-8")
        self.chapters = [Chapter(**match.groupdict()) for match in ROW.finditer(self.readme)]
        self.sets = sorted(path.stem for path in (self.root / "exercises").glob("*.ipynb"))
        there = sorted(path.stem for path in (self.root / "notebooks").glob("*.ipynb"))
        if [chapter.name for chapter in self.chapters] != there:
            raise ValueError("README.md's table of chapters is not that of notebooks/")
        self.files = self.pages.parent / "files"  # copied as they are, beside the pages
        self.made = set()

    def write(self, name, text):
        """A page; left alone where it is the same, so that Sphinx can, too."""
        path = self.pages / name
        self.made.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")

    def copy(self, source, *targets):
        for target in targets:
            self.made.add(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)

    def forget_the_rest(self):
        """What an earlier build made of files that are no longer there."""
        for folder in (self.pages, self.files):
            for path in folder.rglob("*"):
                if path.is_file() and path not in self.made:
                    path.unlink()


def prepare(root, pages):
    """Write all pages; return the folder of the files that belong beside them."""
    book = Book(root, pages)
    for chapter in book.chapters:
        prepare_notebook(book, f"notebooks/{chapter.name}")
    for name in book.sets:
        prepare_notebook(book, f"exercises/{name}")
    guides = sorted(path.name for path in (book.root / "docs").glob("*.md"))
    guides.remove("PACKAGE.md")  # the package registry's page
    for name in guides:
        book.write(f"docs/{name}", guide(book, f"docs/{name}"))
    write_teaching(book)
    for picture in sorted((book.root / "docs").glob("*.png")):
        book.copy(
            picture, book.pages / "docs" / picture.name, book.files / "figures" / picture.name
        )
    book.write("CONTRIBUTING.md", guide(book, "CONTRIBUTING.md"))
    book.write("README.md", computer(book))
    book.write("index.md", front(book, guides))
    book.forget_the_rest()
    return book.files


def prepare_notebook(book, page):
    """The notebook for Sphinx."""
    notebook = json.loads((book.root / f"{page}.ipynb").read_text("utf-8"))
    pictures = 0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            is_memory = cell.get("id") == FROM_MEMORY
            cell["source"] = questions(book, page) if is_memory else page_text(book, text, page)
            continue
        for number, output in enumerate(cell["outputs"]):
            if "image/png" in output.get("data", {}):
                pictures += 1
                name = f"{page.split('/')[1]}-{pictures}"
                cell["outputs"][number] = figure(book, output, name)
        tags = cell["metadata"].setdefault("tags", [])
        if "skip-execution" in tags:
            cell["outputs"] = [html_output(f'<p class="sliders-here">{SLIDERS}</p>')]
        if "figure" in tags or ("widget" in tags and DRAWS.search(text)):
            tags.append("hide-input")
    folder, name = page.split("/")
    if folder == "exercises":
        add_answers(book, notebook, name)
    if folder == "notebooks" and name in book.sets:
        # In the list of chapters the set stands below its chapter, and comes next.
        toctree = f"```{{toctree}}\n:hidden:\nExercises <../exercises/{name}>\n```"
        notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": toctree})
        if "id" in notebook["cells"][0]:
            notebook["cells"][-1]["id"] = "exercises-of-it"
    book.write(f"{page}.ipynb", json.dumps(notebook, ensure_ascii=False))


def questions(book, page):
    """A chapter's questions, each with the name by which live/review.js finds it."""
    cards = read_cards(book.root, Path(page).name[:2])
    [cell] = folded(cards, ASKED_AGAIN)
    names = iter(cards)
    return re.sub("<details>", lambda _: f'<details id="card-{next(names).id}">', cell["source"])


ANSWER = """\
<details class="our-answer"><summary>Our answer, after an honest try of yours</summary>

```python
{}
```

</details>"""


def add_answers(book, notebook, name):
    """Below each check our answer, folded."""
    ours = json.loads((book.root / "solutions" / f"{name}.ipynb").read_text("utf-8"))["cells"]
    answers = {grade_id(cell): without_marks(source_of(cell)) for cell in ours}
    cells = []
    for cell in notebook["cells"]:
        cells.append(cell)
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            text = ANSWER.format(answers[grade_id(cell).removesuffix("-check")])
            cells.append({"cell_type": "markdown", "metadata": {}, "source": text})
            if "id" in cell:
                cells[-1]["id"] = f"our-{cell['id']}"
    notebook["cells"] = cells


def grade_id(cell):
    """The task of an answer's cell, or that with "-check" at its end; "" for others."""
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def html_output(html):
    return {"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}


def figure(book, output, name):
    """An output that shows two files in place of the PNG that it holds: for light and for dark.

    They are WebP without loss, a third smaller, and named by what is in them.
    """
    about = output["metadata"]["image/png"]
    data = base64.b64decode("".join(output["data"]["image/png"]))
    name = f"{name}-{hashlib.sha256(data).hexdigest()[:8]}"
    light, dark = (book.files / "figures" / f"{name}{end}.webp" for end in ("", "-dark"))
    book.made |= {light, dark}
    if not (light.exists() and dark.exists()):
        picture = Image.open(io.BytesIO(data))
        write(light, webp(picture))
        write(dark, webp(for_the_dark(picture)))
    images = "".join(
        f'<img class="book-figure {kind}" src="../figures/{path.name}" '
        f'width="{about["width"]}" height="{about["height"]}" loading="lazy" decoding="async" '
        f'alt="{escape(about["alt"])}">'
        for kind, path in (("only-light", light), ("only-dark", dark))
    )
    return html_output(images)


def webp(picture):
    """The bytes of a picture as WebP without loss."""
    file = io.BytesIO()
    picture.save(file, "WEBP", lossless=True)
    return file.getvalue()


def page_text(book, text, page):
    """The text of a cell as the site shows it."""
    folder = "" if page.startswith("notebooks/") else "../notebooks/"
    text = MAP_PICTURE.sub(lambda match: raw(book_map(book, match[1], folder)), text)
    text = TASK.sub(r"\1\n\n{.task-facts}\n\2, \3, about \4", text)
    return with_links(book, text, page)


def raw(html):
    return f"````{{raw}} html\n{html}\n````"


def book_map(book, words, folder):
    """The map that a picture shows, from the words beside it, which name each arrow."""
    edges = sorted({(int(a), int(b)) for a, b in ARROW.findall(words)})
    chapters = [c for c in book.chapters if any(c.number in edge for edge in edges)]
    titles = {c.number: c.title for c in chapters}
    links = {c.number: f"{folder}{c.name}.html" for c in chapters}
    return chart(titles, edges, links, {c.number: c.part for c in chapters}, MAP)


def with_links(book, text, page):
    """Links to files that have no page, such as LICENSE, as code."""

    def kept(match):
        label, target = match[1], match[2].partition("#")[0]
        if not target or ":" in target or has_page(book, page, target):
            return match[0]
        return label if label.startswith("`") else f"`{label}`"

    text = re.sub(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)", kept, text)
    # A guide that is named as a file: a link to its page.
    up = "../" * page.count("/")
    return NAMED.sub(lambda match: f"[{match[0]}]({up}{match[1]})", text)


def has_page(book, page, target):
    path = (book.root / page).parent.joinpath(target).resolve()
    if not path.is_relative_to(book.root.resolve()):
        return False
    name = path.relative_to(book.root.resolve()).as_posix()
    return path.is_file() and (
        re.fullmatch(r"(notebooks|exercises)/\w+\.ipynb|docs/(teaching/)?\w+\.(md|png)", name)
        is not None
        or name in ("README.md", "CONTRIBUTING.md")
    )


def write_teaching(book):
    """The teacher's guide, and its page of each chapter; the keys stay where they are."""
    book.write("docs/TEACHING.md", guide(book, "docs/TEACHING.md"))
    for path in sorted((book.root / "docs" / "teaching").glob("*.md")):
        # The guide lists them. In the list beside each page of the book they would be in the way.
        name = f"docs/teaching/{path.name}"
        book.write(name, "---\norphan: true\n---\n" + guide(book, name))


def guide(book, name):
    return with_links(book, (book.root / name).read_text("utf-8"), name)


def computer(book):
    """README.md without what the front page says: how to set the book up on a computer."""
    text = re.sub(r"^## The book$.*?(?=^## )", "", book.readme, flags=re.DOTALL | re.MULTILINE)
    text = text.replace("# numpygpt\n", "# On your own computer\n", 1)
    return with_links(book, text, "README.md")


def front(book, guides):
    """The front page: front.md with what is counted and listed put in."""
    text = Path(__file__).with_name("front.md").read_text("utf-8")
    fill = {
        "parts": parts_html(book),
        "map": book_map(book, MAP_PICTURE.search(book.readme)[1], "notebooks/"),
        "toctrees": toctrees(book, guides),
        "chapters": str(len(book.chapters)),
        "tasks": str(count_tasks(book)),
        "hours": str(round(sum(chapter.total for chapter in book.chapters) / 60)),
    }
    return re.sub(r"<!-- (\w+) -->", lambda match: fill[match[1]], text)


def count_tasks(book):
    texts = [(book.root / f"exercises/{name}.ipynb").read_text("utf-8") for name in book.sets]
    return sum(text.count("## Task ") for text in texts)


def chapters_of(book, part):
    return [chapter for chapter in book.chapters if chapter.part == part]


def parts_html(book):
    """A card for each part that has chapters: its minutes, and its chapters with theirs."""
    cards = []
    for part, (title, _, _, gives) in enumerate(PARTS, 1):
        chapters = chapters_of(book, part)
        if chapters:
            total = sum(chapter.total for chapter in chapters)
            rows = "".join(chapter_html(book, chapter) for chapter in chapters)
            cards.append(
                f'<section class="part part-{part}"><h3>{ROMAN[part - 1]}. {escape(title)}</h3>'
                f'<p>{escape(gives)} <span class="minutes">About {total:,} minutes.</span></p>'
                f"<ol>{rows}</ol></section>"
            )
    return "".join(cards)


def chapter_html(book, chapter):
    reading, _, exercises = chapter.minutes.partition(" + ")
    minutes = f"{reading} min"
    if exercises:
        minutes += f' <a href="exercises/{chapter.name}.html">+ {exercises} of exercises</a>'
    return (
        f'<li value="{chapter.number}"><a class="title" href="notebooks/{chapter.name}.html">'
        f"{escape(chapter.title)}</a> <span>{escape(chapter.builds)}</span> "
        f'<span class="minutes">{minutes}</span></li>'
    )


def toctrees(book, guides):
    """The list at the side of each page: parts with their chapters, then the guides."""
    trees = []
    for part, (title, *_) in enumerate(PARTS, 1):
        lines = [f"{c.title} <notebooks/{c.name}>" for c in chapters_of(book, part)]
        if lines:
            trees.append((f"{ROMAN[part - 1]}. {title}", lines))
    trees.append(
        ("Beside the book", ["README", *(f"docs/{g[:-3]}" for g in guides), "CONTRIBUTING"])
    )
    return "\n".join(
        "```{{toctree}}\n:hidden:\n:caption: {}\n{}\n```\n".format(caption, "\n".join(lines))
        for caption, lines in trees
    )
