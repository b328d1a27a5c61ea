"""The two PDFs: the book, and its exercises."""

import shutil

import typst as engine

from paper import HERE, formulas
from paper.typ import string, typst

HEAD = '#import "book.typ": *\n'
# At the top level of the text: in a function it would end with it.
PAGE_1 = '#pagebreak(weak: true)\n#set page(numbering: "1")\n#counter(page).update(1)\n'
CONTENTS = "#front-heading[Contents]\n"


class PaperError(Exception):
    """What typst refused or warned of."""


def compiled(text, folder, target, **more):
    """Set a text of typst, whose figures lie in the folder. A warning is an error."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "book.typ", folder)
    source = folder / f"{target.stem}.typ"
    source.write_text(text, "utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        compiler = engine.Compiler(
            source, root=folder, font_paths=[HERE / "fonts"], ignore_system_fonts=True
        )
        _, warnings = compiler.compile_with_warnings(output=target, **more)
    except engine.TypstError as error:
        raise PaperError(said(source, error)) from None
    if warnings:
        raise PaperError(said(source, warnings[0]))


def said(source, trouble):
    """The first thing that typst says, with its place."""
    lines = (trouble.diagnostic or trouble.message).splitlines()
    return f"{source.name}: " + "\n".join(lines[:8])


def call(name, *arguments, body=None):
    """A call of a function of book.typ. Strings and lists of strings are quoted; so is the body."""
    text = ", ".join(map(argument, arguments))
    return f"#{name}({text})" + ("" if body is None else f"[{body}]") + "\n"


def argument(value):
    if value is None:
        return "none"
    if isinstance(value, (list, tuple)):
        return "(" + "".join(f"{argument(item)}, " for item in value) + ")"
    return string(str(value))


def opened(facts, subtitle):
    """What styles all that follows, then the title page and the one behind it."""
    return (
        f"{HEAD}#show: book.with(title: {string(facts.title)}, subtitle: {string(subtitle)}, "
        f"authors: {argument(facts.authors)}, keywords: {argument(facts.keywords)}, "
        f"description: {string(facts.abstract)})\n" + title_page(facts, subtitle)
        + call("colophon", facts.title, facts.edition, ", ".join(facts.authors), facts.address)
    )  # fmt: skip


def title_page(facts, subtitle):
    return call("title-page", facts.title, subtitle, facts.edition, facts.authors)


def cover(facts, folder, target):
    """The title page as a picture."""
    text = HEAD + "#show: book.with(title: [], subtitle: [])\n" + title_page(facts, facts.subtitle)
    compiled(text, folder, target, format="png", ppi=110)


def book(content, folder, target):
    """The whole book as PDF/UA-1: tagged, every picture and formula with a text."""
    pages = [content.preface, *content.pages]
    known = formulas.typst(formulas.formulas([[page.blocks, page.answers] for page in pages]))
    text = [
        opened(content.facts, content.facts.subtitle),
        CONTENTS + "#contents()\n",
        call("front-heading", content.preface.title) + typst(content.preface.blocks, known),
        PAGE_1,
    ]
    for number, title, gives, chapters in content.parts():
        text.append(call("part", number, title, f"part-{number}", gives))
        text += [chapter(content, page, known) for page in chapters]
    text += answers(content, known)
    text.append(call("part", None, "Appendices", "appendices", "To keep beside you."))
    text += [numbered(page, None) + typst(page.blocks, known) for page in content.guides]
    text.append(index(content.terms))
    compiled("\n".join(text), folder, target, format="pdf", pdf_standards=["ua-1"])


def numbered(page, facts):
    return call("chapter", page.number, page.title, page.mark, facts)


def chapter(content, page, known):
    where = [page.path, content.facts.at(page.path)]
    return numbered(page, [content.minutes(page), *where]) + typst(page.blocks, known)


def answers(content, known):
    """What the chapters ask and keep folded, chapter by chapter."""
    yield call("part", None, "Answers", "answers", "To what the chapters ask.")
    for page in content.chapters:
        if page.answers:
            yield call("answers-of", page.number, page.title)
        for count, answer in enumerate(page.answers, 1):
            body = f"\n{typst(answer, known)}\n"
            yield call("answer", f"{page.number}.{count}", body=body)


def index(terms):
    """The terms, each with its pages; the first, in bold, explains it."""
    entries = "".join(
        call("entry", term.word, [mention.mark for mention in term.places]) for term in terms
    )
    facts = ["A page in bold explains the term."]
    return call("chapter", None, "Index", "index", facts) + call("columns-of-terms", body=entries)


def exercises(facts, sets, folder, target):
    """The exercises to print, without answers and with room to write."""
    known = formulas.typst(formulas.formulas([page.blocks for page in sets]))
    text = [opened(facts, "Exercises"), CONTENTS + "#contents(depth: 2)\n", PAGE_1]
    for page in sets:
        text.append(numbered(page, ["", page.path, facts.at(page.path)]))
        text.append(typst(page.blocks, known))
    compiled("\n".join(text), folder, target, format="pdf", pdf_standards=["ua-1"])
