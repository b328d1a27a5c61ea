"""The two PDFs: the book, and its exercises."""

import shutil

import typst as engine

from paper import HERE, formulas
from paper.content import LETTERS
from paper.links import numbered
from paper.typ import string, typst

HEAD = '#import "book.typ": *\n'


class PaperError(Exception):
    """What typst refused or warned of."""


def compiled(text, folder, target):
    """Set a text of typst; a warning, such as of a glyph that no font has, is an error."""
    shutil.copy(HERE / "book.typ", folder)
    source = folder / f"{target.stem}.typ"
    source.write_text(text, "utf-8")
    try:
        compiler = engine.Compiler(
            source, root=folder, font_paths=[HERE / "fonts"], ignore_system_fonts=True
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        _, warnings = compiler.compile_with_warnings(
            output=target, format="pdf", pdf_standards=["ua-1"]
        )
    except engine.TypstError as error:
        raise PaperError(said(source, error)) from None
    if warnings:
        raise PaperError(said(source, warnings[0]))


def said(source, trouble):
    """The first thing that typst says, with its place."""
    lines = (trouble.diagnostic or trouble.message).splitlines()
    return f"{source.name}: " + "\n".join(lines[:8])


def opened(about, subtitle=None):
    """The call that styles all that follows, and the title page."""
    names = "(" + "".join(f"{string(name)}, " for name in about.authors) + ")"
    keys = "(" + "".join(f"{string(word)}, " for word in about.keywords) + ")"
    subtitle = subtitle or about.subtitle
    return (
        f"{HEAD}#show: book.with(title: {string(about.title)}, subtitle: {string(subtitle)}, "
        f"authors: {names}, keywords: {keys}, description: {string(about.abstract)})\n"
        f"#title-page({string(about.title)}, {string(subtitle)}, {string(about.edition)}, {names})\n"
    )


def book(content, folder, target):
    about = content.facts
    pages = [content.preface, *content.pages]
    converted = formulas.typst(formulas.formulas([[page.blocks, page.answers] for page in pages]))
    parts = [opened(about), colophon(about), "#front-heading[Contents]\n#contents()\n"]
    parts += [
        f"#front-heading[{content.preface.title}]\n",
        typst(content.preface.blocks, converted),
    ]
    parts.append("#main-matter()\n")
    for number, title, gives, chapters in content.parts():
        parts.append(
            f"#part({string(number)}, {string(title)}, {string('part-' + number)})"
            f"[#{string(gives)}]\n"
        )
        for page in chapters:
            numbered(page, 3, page.number)
            name = string(page.path)
            minutes = string(content.minutes(page))
            parts.append(
                f"#chapter({string(str(page.number))}, {string(page.title)}, {string(page.mark)}, "
                f"[#{minutes} · #link({string(content.file(page))})[#{name}]])\n"
            )
            parts.append(typst(page.blocks, converted))
    parts.append('#part(none, "Answers", "answers")[To what the chapters ask and keep folded.]\n')
    for page in content.chapters:
        if page.answers:
            parts.append(f"#answers-of({string(str(page.number))}, {string(page.title)})\n")
            for count, answer in enumerate(page.answers, 1):
                body = typst(answer, converted)
                parts.append(f'#answer("{page.number}.{count}")[\n{body}\n]\n')
    parts.append('#part(none, "Appendices", "appendices")[To keep beside you.]\n')
    for letter, page in zip(LETTERS, content.guides, strict=True):
        numbered(page, 3, letter)
        parts.append(
            f"#chapter({string(letter)}, {string(page.title)}, {string(page.mark)}, none)\n"
        )
        parts.append(typst(page.blocks, converted))
    parts.append(index(content.terms))
    compiled("\n".join(parts), folder, target)


def colophon(about):
    return (
        f"#colophon({string(about.title)}, {string(about.edition)}, "
        f"{string(', '.join(about.authors))}, {string(about.address)})\n"
    )


def index(terms):
    entries = "".join(
        f"#entry({string(term.word)}, ({''.join(f'<{mark}>, ' for mark in term.places)}))\n"
        for term in terms
    )
    return (
        '#chapter(none, "Index", "index", [The page in bold explains the term.])\n'
        f"#columns-of-terms[\n{entries}]\n"
    )


def exercises(about, sets, folder, target):
    converted = formulas.typst(formulas.formulas([page.blocks for page in sets]))
    parts = [opened(about, "Exercises"), "#front-heading[Contents]\n#contents(depth: 2)\n"]
    parts.append("#main-matter()\n")
    for page in sets:
        numbered(page, 3)
        parts.append(
            f"#chapter({string(str(page.number))}, {string(page.title)}, {string(page.mark)}, "
            f"[#{string(page.path)}])\n"
        )
        parts.append(typst(page.blocks, converted))
    compiled("\n".join(parts), folder, target)
