"""The book for readers of EPUB: valid, whole, and every place of it can be reached."""

import posixpath
import re
import shutil
import subprocess
import zipfile
from xml.etree import ElementTree

import pytest
from printed import OUT
from test_pdf import ANSWER, CODE, FORMULA, alts, chapters

XHTML, MATHML = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/1998/Math/MathML}"


@pytest.fixture(scope="module")
def pages(epub):
    return {
        name: ElementTree.fromstring(content)
        for name, content in epub.items()
        if name.endswith(".xhtml")
    }


def every(pages, tag):
    for name, page in pages.items():
        for node in page.iter(tag):
            yield name, node


def test_epubcheck_finds_nothing():
    checker = shutil.which("epubcheck")
    if not checker or not shutil.which("java"):
        pytest.skip("LEFT OUT: epubcheck is missing; on Debian and Ubuntu: apt install epubcheck")
    # Debian's is the archive of Java itself, others are a script.
    command = ["java", "-jar", checker] if zipfile.is_zipfile(checker) else [checker]
    run = subprocess.run(
        [*command, str(OUT / "numpygpt.epub")], capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_figure_is_there_once_with_its_text(epub, pages, sources):
    shown = [(name, node.get("src"), node.get("alt")) for name, node in every(pages, XHTML + "img")]
    figures = [alt for name, _, alt in shown if "/ch" in name]
    assert figures == [alt for cells in chapters(sources).values() for alt in alts(cells)]
    for name, source, alt in shown:
        assert alt and posixpath.normpath(posixpath.join(posixpath.dirname(name), source)) in epub


def test_every_link_inside_leads_to_a_place_that_is_there(pages):
    ids = {name: {node.get("id") for node in page.iter()} for name, page in pages.items()}
    count = 0
    for name, node in every(pages, XHTML + "a"):
        path, _, mark = (node.get("href") or "").partition("#")
        if path.startswith("http"):
            continue
        count += 1
        target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name
        assert target in ids, (name, node.get("href"))
        assert not mark or mark in ids[target], (name, node.get("href"))
    assert count > 500


def test_every_formula_is_mathml(pages, sources):
    wanted = 0
    for cells in chapters(sources).values():
        for cell in cells:
            if cell["cell_type"] == "markdown":
                wanted += len(FORMULA.findall(CODE.sub("", "".join(cell["source"]))))
    found = [node for name, node in every(pages, MATHML + "math")]
    assert wanted > 900 and len(found) >= wanted
    assert all(node.find(f".//{MATHML}annotation") is not None for node in found)


def test_the_table_of_contents_names_each_chapter(pages, sources):
    [nav] = [page for name, page in pages.items() if name.endswith("nav.xhtml")]
    titles = {"".join(node.itertext()).strip() for node in nav.iter(XHTML + "a")}
    for cells in chapters(sources).values():
        title = "".join(cells[0]["source"]).partition("\n")[0].removeprefix("# Chapter ")
        assert title.replace(":", "", 1) in titles
    assert {"Answers", "Index"} <= titles


def test_an_answer_stands_in_the_chapter_of_answers_alone(pages, sources):
    folded = sum(
        len(ANSWER.findall("".join(cell["source"])))
        for cells in chapters(sources).values()
        for cell in cells
    )
    for kind in ("ask", "answer"):
        ids = [node.get("id", "") for _, page in pages.items() for node in page.iter()]
        assert len([name for name in ids if re.fullmatch(rf"{kind}-\d+-\d+", name)]) == folded > 20


@pytest.mark.parametrize("source", ["<details", "$", "**", "](", "```", "\\frac"])
def test_no_markup_is_in_sight(source, pages):
    for name, page in pages.items():
        assert source not in prose(page), name


def prose(node):
    if node.tag in (XHTML + "pre", XHTML + "code", MATHML + "annotation"):
        return node.tail or ""
    parts = [node.text or "", *(prose(child) for child in node)]
    return "".join(parts) + (node.tail or "")
