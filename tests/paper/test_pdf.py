"""The printed book: nothing is cut or missing, every link leads somewhere, answers stay apart."""

import json
import re
from collections import Counter

import pytest
import yaml
from printed import POINTS, ROOT, squeezed

from coursekit.address import repository
from coursekit.memory.folded import ID as FROM_MEMORY
from paper.content import GUIDES
from paper.terms import glossary

MARGIN = 17.5 * POINTS
IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\.png\)")
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
ANSWER = re.compile(r"<details><summary>Answer</summary>\n\n(.*?)\n\n</details>", re.DOTALL)
REPOSITORY = repository(ROOT)


def spelled(text):
    """The letters alone: a hyphen may stand at the end of a line."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def alts(cells):
    """The alternative texts of a notebook's figures, in order."""
    for cell in cells:
        if cell["cell_type"] == "markdown":
            yield from (alt.replace("\n", " ") for alt in IMAGE.findall("".join(cell["source"])))
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                yield output["metadata"]["image/png"]["alt"]


def chapters(sources):
    return {path: cells for path, cells in sources.items() if path.startswith("notebooks/")}


def test_each_figure_of_each_chapter_is_there_once_with_its_text(book, sources):
    wanted = [alt for cells in chapters(sources).values() for alt in alts(cells)]
    assert len(wanted) > 70
    assert book.tagged("Figure") == wanted
    drawn = sum(len(list(page.get_objects(filter=[3]))) for page in book.document)  # 3: an image
    assert drawn == len(wanted)


def test_each_formula_says_what_it_is(book, sources):
    texts = ["".join(c["source"]) for cells in chapters(sources).values() for c in cells
             if c["cell_type"] == "markdown"]  # fmt: skip
    texts += [(ROOT / f"docs/{name}.md").read_text("utf-8") for name in GUIDES]
    wanted = sum(len(FORMULA.findall(CODE.sub("", text))) for text in texts)
    found = book.tagged("Formula")
    assert all(found) and len(found) == wanted > 900


@pytest.mark.parametrize("which", ["book", "exercises"])
def test_no_letter_stands_beyond_the_margins(which, request):
    pdf = request.getfixturevalue(which)
    for number, page in enumerate(pdf.pages, 1):
        for letter in page:
            left, bottom, right, top = letter.box
            where = f"page {number}: {letter.text!r}"
            # A letter such as j reaches a little to the left of its place.
            assert MARGIN - 1 <= left and right <= pdf.width - MARGIN + 1, where
            assert 30 <= bottom and top <= pdf.height - 30, where


def test_every_line_of_code_and_of_output_is_there_whole(book, sources):
    main = min(book.chapters().values())  # what comes before the chapters is long by itself
    # A line that goes on may go on on the next page, below its running head.
    text, at = "".join(book.bodies[main:]).replace("↪", ""), 0
    lines = 0
    for path, cells in chapters(sources).items():
        for cell in cells:
            if cell["cell_type"] != "code":
                continue
            said = ["".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream"]
            for line in "\n".join(["".join(cell["source"]), *said]).splitlines():
                lines += 1
                found = text.find(squeezed(line), at, at + 20_000)
                assert found >= 0, f"{path}: {line}"
                at = found
    assert lines > 8000


def test_the_outline_has_each_part_chapter_section_and_appendix(book, sources):
    found = [(entry.depth, entry.title) for entry in book.outline()]
    titles = {title for _, title in found}
    for cells in chapters(sources).values():
        [number, title] = re.match(r"# Chapter (\d+): (.+)", "".join(cells[0]["source"])).groups()
        assert (1, f"{number} {title}") in found
        text = "".join("".join(c["source"]) + "\n" for c in cells if c["cell_type"] == "markdown")
        headings = re.findall(r"^## (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.M)
        for count, heading in enumerate(headings, 1):
            plain = re.sub(r"[`*$]|\\(\w+)", "", heading)
            [there] = [t for t in titles if t.startswith(f"{number}.{count} ")]
            assert spelled(plain)[:12] in spelled(there) or "$" in heading, heading
    for letter, name in zip("ABCDEF", GUIDES, strict=True):
        title = (ROOT / f"docs/{name}.md").read_text("utf-8").partition("\n")[0].removeprefix("# ")
        assert (1, f"{letter} {title}") in found
    assert {"About this edition", "Answers", "Appendices", "Index"} <= titles
    assert [title for depth, title in found if depth == 0 and title.startswith("Part ")]


def links(pdf):
    """(page, what it leads to): an address, or the number of a page."""
    names = pdf.reader.named_destinations
    for number, page in enumerate(pdf.reader.pages, 1):
        for annotation in page.get("/Annots") or []:
            action = annotation.get_object()
            target = action.get("/A", action)
            if "/URI" in target:
                yield number, str(target["/URI"])
            else:
                place = target.get("/D", target.get("/Dest"))
                place = names[place].dest_array if isinstance(place, str) else place
                yield number, pdf.reader.get_page_number(place[0].get_object()) + 1


def test_every_link_leads_somewhere(book, exercises):
    for pdf in (book, exercises):
        found = list(links(pdf))
        inside = [target for _, target in found if isinstance(target, int)]
        assert all(1 <= target <= len(pdf.pages) for target in inside)
        for page, target in found:
            if isinstance(target, str):
                path = target.removeprefix(f"{REPOSITORY}/blob/main/")
                outside = target.startswith("https://") and not target.startswith(REPOSITORY)
                assert target == REPOSITORY or (ROOT / path).is_file() or outside, (page, target)
    assert len(list(links(book))) > 600


def test_a_link_to_a_chapter_leads_to_its_first_page(book, sources):
    starts = {int(title.split()[0]): page + 1 for title, page in book.chapters().items()}
    wanted = Counter()
    for cells in chapters(sources).values():
        for cell in cells:
            if cell["cell_type"] == "markdown":
                names = re.findall(r"\]\((\d\d)_\w+\.ipynb\)", "".join(cell["source"]))
                wanted.update(starts[int(name)] for name in names)
    assert sum(wanted.values()) > 40
    found = Counter(target for _, target in links(book))
    for page, count in wanted.items():
        assert found[page] >= count


def test_answers_stand_at_the_end_and_are_asked_where_they_were_folded(book, sources):
    [start] = [entry.page for entry in book.outline() if entry.title == "Answers"]
    [end] = [entry.page for entry in book.outline() if entry.title == "Appendices"]
    before, answers = ("".join(book.bodies[a:b]) for a, b in ((0, start), (start, end)))
    count = 0
    for path, cells in chapters(sources).items():
        own = 0
        for cell in cells:
            for answer in ANSWER.findall("".join(cell["source"])):
                own += 1
                count += 1
                number = f"{int(path[10:12])}.{own}"
                # The longest run of words without any markup or formula.
                words = FORMULA.sub("|", CODE.sub("|", answer))
                run = max(re.split(r"[*\[\]()\"'|]", words), key=lambda part: len(squeezed(part)))
                assert squeezed(run) in answers, (path, run)
                _, asked, after = before.partition(f"→Answer{number},page")
                assert asked and squeezed(run) not in after[: len(answer) + 20], (path, run)
                if cell["id"] != FROM_MEMORY:  # those answers are what the chapter has said
                    assert squeezed(run) not in before, (path, run)
                assert f"{number}askedonpage" in answers
    assert count > 240


@pytest.mark.parametrize(
    "source", ["<details", "</", "$$", "**", "](", "```", "\\frac", "&lt;", "#mark"]
)
def test_no_markup_is_in_sight(source, book, exercises):
    for pdf in (book, exercises):
        assert source not in pdf.prose()


def test_the_index_leads_each_word_of_the_glossary_to_a_page_that_has_it(book):
    [start] = [entry.page for entry in book.outline() if entry.title == "Index"]
    main = next(e.page for e in book.outline() if e.title.startswith("Part I"))
    text = "".join(book.bodies[start:])
    terms = glossary((ROOT / "docs/GLOSSARY.md").read_text("utf-8"))
    assert len(terms) > 75
    for term in terms:
        word = re.escape(squeezed(term.word))
        pages = re.search(rf"(?:^|[\d.:])\s*{word},((?:\d+,)*\d+)", text)
        assert pages, term.word
        # Digits of the page's number and the next term's letters follow one another.
        number = int(pages[1].split(",")[0])
        assert spelled(term.word) in spelled(book.texts[main + number - 1]), (term.word, number)


def test_the_title_page_and_the_file_say_what_it_is(book, exercises):
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    title, _, subtitle = about["title"].partition(": ")
    for pdf in (book, exercises):
        front = pdf.texts[0]
        assert squeezed(title) in front and about["version"] in front
        assert squeezed(about["authors"][0]["name"]) in front
        assert "CCBY4.0" in pdf.texts[1] and "MIT" in pdf.texts[1]
        assert pdf.reader.trailer["/Root"]["/Lang"].startswith("en")
        assert pdf.reader.trailer["/Root"]["/MarkInfo"]["/Marked"]
        # So typst has refused a letter that no font has, and a figure without a text.
        assert b"pdfuaid" in pdf.reader.trailer["/Root"]["/Metadata"].get_data()
    assert squeezed(subtitle).lower() in book.texts[0].lower()
    assert "Exercises" in exercises.texts[0]


def test_running_heads_name_the_chapter_and_pages_have_numbers(book):
    main = next(e.page for e in book.outline() if e.title.startswith("Part I"))
    for title, page in book.chapters().items():
        head = book.texts[page + 1]
        assert head.startswith(f"{squeezed(title)}{page + 1 - main + 1}"), (title, head[:60])
        assert str(page - main + 1) in book.texts[page][-4:]


def answer_lines(name):
    """The lines of our answers of a set."""
    solved = json.loads((ROOT / f"solutions/{name}").read_text("utf-8"))["cells"]
    for cell in solved:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            yield from "".join(cell["source"]).splitlines()


def test_the_exercises_have_every_task_and_no_answer(exercises, sources):
    text, tasks, secret = exercises.text(), 0, 0
    for path, cells in sources.items():
        if not path.startswith("exercises/"):
            continue
        blank = squeezed("".join("".join(cell["source"]) for cell in cells))
        for cell in cells:
            found = re.findall(r"^## (Task \d+: [^(`$]+)", "".join(cell["source"]), re.M)
            tasks += len(found)
            assert all(squeezed(task) in text for task in found)
        for line in map(squeezed, answer_lines(path.rpartition("/")[2])):
            if len(line) > 30 and line not in blank:
                secret += 1
                assert line not in text, line
    assert tasks > 60 and secret > 150
