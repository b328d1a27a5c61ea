"""A PDF as it can be read by a test: its structure, and what stands where on its pages."""

import ctypes
import re
from pathlib import Path
from types import SimpleNamespace

import pypdf
import pypdfium2 as pdfium

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "book"
POINTS = 72 / 25.4  # in a millimeter


def squeezed(text):
    """A text without its spaces: a PDF knows where letters are, and not what is between them."""
    return re.sub(r"\s", "", text)


class Pdf:
    """A PDF: `reader` for its structure, `letters` for what stands where on its pages."""

    def __init__(self, path):
        self.reader = pypdf.PdfReader(path)
        self.document = pdfium.PdfDocument(path)
        self.pages = [letters(page) for page in self.document]
        self.texts = [joined(page) for page in self.pages]
        self.width, self.height = self.document[0].get_size()
        # Without the running heads and the numbers.
        top, foot = self.height - 28 * POINTS, 22 * POINTS
        self.bodies = [
            joined(letter for letter in page if letter.box[1] < top and letter.box[3] > foot)
            for page in self.pages
        ]

    def text(self):
        return "".join(self.texts)

    def prose(self):
        """What is not set in the letters of code."""
        return "".join(
            letter.text for page in self.pages for letter in page if "Mono" not in letter.font
        )

    def chapters(self):
        """{the number and title of a chapter: its first page, from 0}."""
        entries = self.outline()
        [end] = [entry.page for entry in entries if entry.title == "Answers"]
        return {
            e.title: e.page
            for e in entries
            if e.page < end and e.depth == 1 and e.title[0].isdigit()
        }

    def outline(self):
        """The titles of the outline, with how deep each is and the number of its page from 0."""
        return list(entries(self.reader, self.reader.outline, 0))

    def tagged(self, kind):
        """The texts of what is tagged as Figure or Formula, in order; None where one has none."""
        root = self.reader.trailer["/Root"]["/StructTreeRoot"]
        return list(described(root["/K"], f"/{kind}"))


def letters(page):
    """The letters of a page, each with its box in points and the name of its font."""
    raw, text = pdfium.raw, page.get_textpage()
    found = []
    for index in range(text.count_chars()):
        sign = chr(raw.FPDFText_GetUnicode(text, index))
        if sign.isspace():
            continue
        found.append(
            SimpleNamespace(text=sign, box=text.get_charbox(index), font=font_of(raw, text, index))
        )
    return found


def joined(letters):
    """Their text. Of a sign beyond 16 bits, such as an emoji, two halves come as two letters."""
    text = "".join(letter.text for letter in letters)
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def font_of(raw, text, index):
    name, flags = ctypes.create_string_buffer(80), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text, index, name, len(name), ctypes.byref(flags))
    return name.value.decode()


def entries(reader, outline, depth):
    for item in outline:
        if isinstance(item, list):
            yield from entries(reader, item, depth + 1)
        else:
            title = re.sub(r"\s+", " ", item.title).strip()
            yield SimpleNamespace(
                title=title, depth=depth, page=reader.get_destination_page_number(item)
            )


def described(node, kind):
    node = node.get_object() if hasattr(node, "get_object") else node
    if isinstance(node, list):
        for item in node:
            yield from described(item, kind)
    elif isinstance(node, dict):
        if node.get("/S") == kind:
            yield node.get("/Alt")
        if "/K" in node:
            yield from described(node["/K"], kind)
