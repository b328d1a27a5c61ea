"""What one chapter quotes from another is what the other prints."""

import json
import re

from answers import REPOSITORY


def printed_by(name):
    """All that the cells of a notebook print."""
    notebook = json.loads((REPOSITORY / f"notebooks/{name}.ipynb").read_text("utf-8"))
    outputs = [o for cell in notebook["cells"] for o in cell.get("outputs", [])]
    return "".join("".join(output.get("text", [])) for output in outputs)


def test_chapter_19_quotes_the_table_of_chapter_7():
    row = re.search(
        r"MLP, 5 characters +([\d,]+) .* ([\d.]+)\n", printed_by("07_first_language_model")
    )
    size, bits = int(row[1].replace(",", "")), float(row[2])
    chapter = (REPOSITORY / "book/chapters/19_shakespeare.py").read_text("utf-8")
    assert f'("MLP of chapter 7", {size:_}, {bits})' in chapter
