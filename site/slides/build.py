"""Slides of each chapter: `python site/slides/build.py` writes out/slides, from what is committed.

`choose.py` says what goes on them. A deck is one page, which needs no network: its figures are in
it, its equations are drawn here by MathJax, whose letters lie beside it.
"""

import json
import re
import shutil
import sys
import time
from html import escape, unescape
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))
sys.path.append(str(HERE.parent))  # at the end: its names are short ones

from assets import package  # noqa: E402
from choose import Figure, slides_of  # noqa: E402
from nbconvert.filters import markdown2html  # noqa: E402
from slim import draw  # noqa: E402

from coursekit.files import BookError, write  # noqa: E402

OUT = ROOT / "out" / "slides"
LETTERS = "output/chtml/fonts/woff-v2"
CODE = r"<pre.*?</pre>|<code.*?</code>"
MATH = re.compile(rf"({CODE})|\$\$(.+?)\$\$|\$(.+?)\$([,.;:?!)]*)", re.DOTALL)
LINK = re.compile(r'<a href="(?!https:)[^"]*">(.*?)</a>', re.DOTALL)  # a deck stands alone
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="deck.css">
<link rel="stylesheet" href="equations.css">
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def deck(slides):
    """The page of one chapter, its equations not drawn yet."""
    sections = []
    for number, slide in enumerate(slides, 1):
        level, kind = (1, ' class="title"') if number == 1 else (2, "")
        if any(isinstance(item, Figure) and item.tall for item in slide.items):
            kind = ' class="tall"'
        heading = markdown2html(slide.heading).strip().removeprefix("<p>").removesuffix("</p>")
        items = "\n".join(map(html_of, slide.items))
        sections.append(
            f"<section{kind}>\n<h{level}>{heading}</h{level}>\n"
            f'<div class="below">\n{items}\n</div>\n<div class="number">{number}</div>\n</section>'
        )
    body = "\n".join([*sections, '<script src="deck.js"></script>'])
    return PAGE.format(title=escape(slides[0].heading), body=body)


def html_of(item):
    if isinstance(item, Figure):
        return f'<img src="data:image/png;base64,{item.data}" alt="{escape(item.alt)}">'
    html = LINK.sub(r"\1", markdown2html(item))
    return html.replace("<th></th>", "<td></td>")  # a heading without words heads nothing


def with_equations(pages):
    """The pages with their equations drawn, and the styles that the drawings need."""
    asked = {}
    for text in pages.values():
        for code, display, inline, _ in MATH.findall(text):
            if not code:
                asked.setdefault((unescape(display or inline).strip(), bool(display)), len(asked))
    drawn = draw(list(asked))

    def one(match):
        if match[1]:
            return match[1]
        html = drawn["html"][asked[unescape(match[2] or match[3]).strip(), bool(match[2])]]
        return f'<span class="whole">{html}{match[4]}</span>' if match[4] else html

    return {name: MATH.sub(one, text) for name, text in pages.items()}, drawn["css"]


def contents(titles):
    """The page that leads to all decks."""
    links = "\n".join(
        f'<li><a href="{name}">{escape(title)}</a></li>' for name, title in titles.items()
    )
    keys = "Arrow keys or the space bar turn the slides. To have a PDF, print a deck."
    return PAGE.format(
        title="Slides",
        body=f'<section class="list">\n<h1>Slides</h1>\n<p>{keys}</p>\n'
        f"<ul>\n{links}\n</ul>\n</section>",
    )


def build():
    """Write all decks; return their number and that of the slides."""
    chosen = {
        f"{path.stem}.html": slides_of(json.loads(path.read_text("utf-8")))
        for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    }
    pages, css = with_equations({name: deck(slides) for name, slides in chosen.items()})
    pages["index.html"] = contents({name: slides[0].heading for name, slides in chosen.items()})
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "mathjax").mkdir(parents=True)
    for path in (package("mathjax") / "es5" / LETTERS).glob("*.woff"):
        shutil.copy(path, OUT / "mathjax")
    for name in ("deck.css", "deck.js"):
        shutil.copy(HERE / name, OUT)
    for name, text in {"equations.css": css, **pages}.items():
        write(OUT / name, text)
    return len(chosen), sum(map(len, chosen.values()))


def main():
    start = time.monotonic()
    try:
        decks, slides = build()
    except (BookError, OSError, ValueError) as error:
        sys.exit(f"slides: {error}")
    seconds = time.monotonic() - start
    print(f"{OUT.relative_to(ROOT)}: {decks} decks, {slides} slides, {seconds:.0f} s")


if __name__ == "__main__":
    main()
