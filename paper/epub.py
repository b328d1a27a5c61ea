"""The book as EPUB: one tree for pandoc, with formulas as MathML."""

from paper import HERE
from paper.pandoc import document, pandoc
from paper.terms import marks_as
from paper.tree import attributes, changed, element, header, link, para, text_of, words

# texmath knows no \mathrel.
JOINED = (r"\mathrel{+}=", r"\;\text{+=}\;")
FEATURES = ["alternativeText", "index", "MathML", "structuralNavigation", "tableOfContents"]


def write(content, cover, folder, target):
    """Write the EPUB; the figures lie in the folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    pandoc(
        document(blocks(content), meta(content.facts)), "-f", "json", "-t", "epub3",
        "-o", str(target), "--mathml", "--toc", "--toc-depth=3", "--split-level=2",
        f"--css={HERE / 'epub.css'}", f"--epub-cover-image={cover}", cwd=folder,
    )  # fmt: skip


def meta(facts):
    def text(value):
        return element("MetaString", value)

    def texts(values):
        return element("MetaList", [text(value) for value in values])

    return {
        "title": text(f"{facts.title}: {facts.subtitle}"),
        "author": texts(facts.authors),
        "lang": text("en-US"),
        "description": text(facts.abstract),
        "subject": texts(facts.keywords),
        "rights": text("Text: CC BY 4.0. Code: MIT."),
        "identifier": text(f"{facts.address}#{facts.version}"),
        "accessModes": texts(["textual", "visual"]),
        "accessibilityFeatures": texts(FEATURES),
        "accessibilityHazards": texts(["none"]),
    }


def blocks(content):
    """The whole book, in its order."""
    facts = content.facts
    out = [
        para(*words(facts.edition)),
        header(1, "preface", words(content.preface.title)),
        *content.preface.blocks,
    ]
    for number, title, gives, chapters in content.parts():
        out.append(header(1, f"part-{number}", words(f"Part {number}: {title}")))
        out.append(para(*words(gives)))
        for page in chapters:
            file = link(words(page.path), facts.at(page.path))
            minutes = [*words(content.minutes(page)), element("Str", " · ")]
            out += titled(page)
            out.append(element("Div", attributes("", ["facts"]), [para(*minutes, file)]))
            out += page.blocks
    out.append(header(1, "answers", words("Answers")))
    for page in content.chapters:
        out += answers(page)
    out.append(header(1, "appendices", words("Appendices")))
    for page in content.guides:
        out += [*titled(page), *page.blocks]
    out.append(header(1, "index", words("Index")))
    out += [entry(term) for term in content.terms]
    return plain(out)


def titled(page):
    return [header(2, page.mark, words(f"{page.number} {page.title}"))]


def answers(page):
    """The answers of a chapter, each with the way back."""
    if page.answers:
        yield header(2, f"answers-{page.number}", words(f"Answers of {page.number} {page.title}"))
    for count, answer in enumerate(page.answers, 1):
        name = f"{page.number}-{count}"
        asked = link(words(f"{page.number}.{count}"), f"#ask-{name}")
        first = para(element("Strong", [asked]))
        yield element("Div", attributes(f"answer-{name}"), [first, *answer])


def entry(term):
    """A term of the index, with links to its sections; the first explains it."""
    places = [link(words(mention.section), f"#{mention.mark}") for mention in term.places]
    inlines = [element("Str", term.word + ","), element("Space"), element("Strong", [places[0]])]
    for place in places[1:]:
        inlines += [element("Str", ","), element("Space"), place]
    return element("Div", attributes("", ["term"]), [para(*inlines)])


def plain(out):
    """What pandoc knows in place of what only `pages` and `terms` know."""
    out = marks_as(
        out,
        lambda name: element("Span", attributes(name), []),
        lambda name: element("Div", attributes(name), []),
    )

    def known(node):
        if node["t"] == "Math":
            kind, tex = node["c"]
            return [element("Math", kind, tex.replace(*JOINED))]
        if node["t"] == "Figure":
            (_, _, pairs), _, content = node["c"]
            caption = [element("Strong", words(f"Figure {dict(pairs)['label']}."))]
            caption += [element("Space"), *words(text_of(node["c"][1][1]))]
            return [element("Figure", attributes(), [None, [element("Plain", caption)]], content)]
        if node["t"] == "Div" and "asked" in node["c"][0][1]:
            name = node["c"][0][0]
            number = dict(node["c"][0][2])["number"]
            to = link(words(f"→ Answer {number}"), f"#{name.replace('ask', 'answer')}")
            return [element("Div", attributes(name), [para(to)])]
        return None

    return changed(out, known)
