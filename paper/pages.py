"""Chapters, sets of exercises and guides as trees of pandoc, each from its committed file.

A page of a notebook is its texts with code, outputs and figures between them; nothing is run.
"""

import base64
import json
import re
from dataclasses import dataclass, field

from PIL import Image
from prepare import ARROW, MAP, SLIDERS, TASK

from paper.pandoc import parsed
from paper.tree import attributes, code_block, element, is_a, para, text_of, words

DETAILS = re.compile(r"<details>\s*<summary>\s*Answer\s*</summary>\s*")


@dataclass
class Page:
    """A chapter, a set or a guide.

    `path` is that of its file in the repository; `mark` begins the names of its parts, such as
    "ch-09"; `title` is without its number; `answers` are those that were folded, in order.
    """

    path: str
    mark: str
    title: str
    blocks: list
    number: int | str | None = None
    answers: list = field(default_factory=list)

    @property
    def name(self):
        """Such as 09_layernorm."""
        return self.path.rpartition("/")[2].partition(".")[0]


def chapter(root, name, folder):
    """A chapter of notebooks/; its figures become files in `folder`."""
    path = f"notebooks/{name}.ipynb"
    cells = json.loads((root / path).read_text("utf-8"))["cells"]
    number = int(name[:2])
    figures = Figures(root, f"{number}", folder)
    title, blocks = titled(page_blocks(cells, figures, chapter_cell))
    title = title.partition(": ")[2]
    page = Page(path, f"ch-{name[:2]}", title, blocks, number)
    page.blocks = without_answers(page)
    return page


def exercises(root, name):
    """A set of exercises/, blank, without the cells that check."""
    path = f"exercises/{name}.ipynb"
    cells = json.loads((root / path).read_text("utf-8"))["cells"]
    minutes = 0
    for cell in cells:
        cell["source"] = "".join(cell["source"])
        if found := TASK.search(cell["source"]):
            minutes = int(found[4].split()[0])
            cell["source"] = TASK.sub(r"\1\n\n*\2, \3, about \4*", cell["source"])
        cell["room"] = minutes
    title, blocks = titled(page_blocks(cells, Figures(root, "", None), exercise_cell))
    for at, block in enumerate(blocks):
        if block["t"] == "Para" and is_a(blocks[at - 1], "Header"):
            if [inline["t"] for inline in block["c"]] == ["Emph"]:
                blocks[at] = element("Div", attributes("", ["facts"]), [block])
    return Page(path, f"set-{name[:2]}", title.partition(": ")[2], blocks, int(name[:2]))


def guide(root, path, folder):
    """A guide of docs/, or another text."""
    name = path.rpartition("/")[2].partition(".")[0].lower()
    cells = [{"cell_type": "markdown", "source": (root / path).read_text("utf-8")}]
    title, blocks = titled(page_blocks(cells, Figures(root, name, folder), chapter_cell))
    return Page(path, f"guide-{name}", title, blocks)


def titled(blocks):
    """The title of a page, and its blocks without it."""
    first, *rest = blocks
    if not is_a(first, "Header") or first["c"][0] != 1:
        raise ValueError(f"a page begins with {text_of(first)[:60]!r}, and not with its title")
    return text_of(first["c"][2]), rest


def page_blocks(cells, figures, of_cell):
    """The blocks of a page's cells, in their order."""
    texts, placed = [], {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            texts.append("".join(cell["source"]))
        else:
            placed[str(number)] = cell
            texts.append(f"```{{=cell}}\n{number}\n```")
    blocks = []
    for block in parsed("\n\n".join(texts)):
        if is_a(block, "RawBlock") and block["c"][0] == "cell":
            blocks += of_cell(placed.pop(block["c"][1].strip()), figures)
        elif is_a(block, "Para") and is_a(block["c"][0], "Image"):
            blocks += [figures.of_image(image) for image in block["c"] if is_a(image, "Image")]
        else:
            blocks.append(block)
    if placed:
        raise ValueError(f"cells {', '.join(placed)} are lost inside a text")
    return blocks


def chapter_cell(cell, figures):
    """Code, then what it printed and drew."""
    tags = cell["metadata"].get("tags", [])
    blocks = [code_block("".join(cell["source"]), "python")]
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            blocks.append(code_block("".join(output["text"]).rstrip("\n"), "output"))
        elif "image/png" in output.get("data", {}):
            blocks.append(figures.of_output(output))
        else:
            raise ValueError(f"an output that paper cannot show: {output['output_type']}")
    if "skip-execution" in tags:
        blocks.append(para(element("Emph", words(SLIDERS))))
    return blocks


def exercise_cell(cell, _):
    """Code as the reader finds it. A check is left out: paper cannot run it."""
    facts = cell["metadata"].get("nbgrader", {})
    if facts.get("grade"):
        return []
    blocks = [code_block("".join(cell["source"]), "python")]
    if facts.get("solution"):
        blocks.append(element("Div", attributes("", ["room"], minutes=cell["room"]), []))
    return blocks


class Figures:
    """The figures of a page, numbered from 1; those that a notebook stores become files."""

    def __init__(self, root, number, folder):
        self.root, self.number, self.folder = root, number, folder
        self.count = 0

    def of_output(self, output):
        about = output["metadata"]["image/png"]
        path = self.next_file()
        path.write_bytes(base64.b64decode("".join(output["data"]["image/png"])))
        return self.figure(path.name, about["alt"], about["width"])

    def of_image(self, image):
        source = self.root / "docs" / image["c"][2][0].rpartition("/")[2]
        path = self.next_file()
        path.write_bytes(source.read_bytes())
        alt = text_of(image["c"][1])
        # What the map shows is named arrow by arrow, for those who do not see it.
        caption = MAP.partition(". ")[0] + "." if ARROW.search(alt) else alt
        return self.figure(path.name, alt, Image.open(path).width // 2, caption)

    def next_file(self):
        self.count += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self.number}-{self.count}.png"

    def figure(self, name, alt, width, caption=None):
        """A Figure; `width` in pixels of the page, as the notebook shows it."""
        label = f"{self.number}.{self.count}"
        image = element("Image", attributes(), words(alt), [f"figures/{name}", ""])
        about = attributes("", width=width, label=label)
        caption = [element("Plain", words(caption or alt))]
        return element("Figure", about, [None, caption], [element("Plain", [image])])


def without_answers(page):
    """The blocks of a page with a link in place of each folded answer, which page.answers gets."""
    blocks, inside = [], None
    for block in page.blocks:
        if is_a(block, "RawBlock") and block["c"][0] == "html":
            html = block["c"][1].strip()
            if DETAILS.fullmatch(html) and inside is None:
                inside = []
                continue
            if html == "</details>" and inside is not None:
                page.answers.append(inside)
                blocks.append(asked(page.number, len(page.answers)))
                inside = None
                continue
            raise ValueError(f"{page.path}: {html[:60]!r} is more than paper can show")
        (blocks if inside is None else inside).append(block)
    if inside is not None:
        raise ValueError(f"{page.path}: a folded answer has no end")
    return blocks


def asked(number, count):
    """What stands where an answer is folded in the notebook."""
    about = attributes(f"ask-{number}-{count}", ["asked"], number=f"{number}.{count}")
    return element("Div", about, [])
