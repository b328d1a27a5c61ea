"""The last pass over the pages of Sphinx: equations are drawn, styles become one small file.

A reader's browser then waits for neither: MathJax runs here and not there, and of the theme's
styles, of which a page uses a tenth, no rule comes that no page needs, nor spaces that nobody sees.
"""

import hashlib
import json
import re
import subprocess
from html import unescape
from pathlib import Path

from assets import HOME, package
from minify_html import minify

from coursekit.files import BookError, write

MATH = re.compile(
    r'<(span|div) class="math notranslate nohighlight[^"]*"[^>]*>(.*?)</\1>', re.DOTALL
)
STYLE = re.compile(r'\s*<link\b[^>]*\brel="stylesheet"[^>]*>')
ROOT_OF_PAGE = re.compile(r'data-content_root="([^"]*)"')
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
PIECE = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|[^"'{};]+""")
NAME = re.compile(r"[.#]((?:[\w-]|\\.)+)")
NAMED = re.compile(r'\b(?:class|id)="([^"]*)"')
WORD = re.compile(r"[\w-]+")


def slim(out):
    """Change all pages of the finished site in the folder `out`."""
    pages = {path: path.read_text("utf-8") for path in sorted(out.rglob("*.html"))}
    pages, css = with_equations(pages)
    write(out / "_static" / "equations.css", css)
    pages = with_one_style(pages, out)
    for path, text in pages.items():
        text = text if path.name == "search.html" else with_deferred_scripts(text)
        write(path, minify(text, keep_closing_tags=True, keep_html_and_head_opening_tags=True))
    calm_theme(out / "_static" / "scripts" / "pydata-sphinx-theme.js")


# Equations.


def with_equations(pages):
    r"""The pages with each \(…\) and \[…\] drawn, and the styles that the drawings need."""
    asked = {}
    for text in pages.values():
        for match in MATH.finditer(text):
            asked.setdefault(tex_of(match), len(asked))
    drawn = draw(list(asked))
    pages = {
        path: MATH.sub(lambda match: drawn["html"][asked[tex_of(match)]], text)
        for path, text in pages.items()
    }
    return pages, drawn["css"]


def tex_of(match):
    """(TeX, whether it stands on a line of its own) of what Sphinx has written."""
    tex = re.sub(r"^\\[(\[]|\\[)\]]$", "", unescape(match[2]).strip())
    return tex.strip(), match[1] == "div"


def draw(asked):
    """`{"html": [...], "css": ...}` for pairs as `tex_of` gives them."""
    script = Path(__file__).with_name("equations.cjs")
    done = subprocess.run(
        ["node", script, package("mathjax"), "mathjax"],
        input=json.dumps(asked),
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise BookError(f"MathJax failed: {(done.stderr.strip() or 'no reason').splitlines()[-1]}")
    return json.loads(done.stdout)


# Styles.


def with_one_style(pages, out):
    """The pages with one style sheet in place of all that they name; those files are deleted."""
    names = ["_static/equations.css"]
    for path, text in pages.items():
        for link in STYLE.findall(text):
            file = path.parent / re.search(r'href="([^"?]+)', link)[1]
            name = file.resolve().relative_to(out).as_posix()
            names += [name] * (name not in names)
    words = words_of(pages, out)
    css = minified(used(bundled(names, out), words))
    write(out / "_static" / "all.css", css)
    version = hashlib.sha256(css.encode()).hexdigest()[:8]
    for path in [*(out / "_static").rglob("*.css"), *(out / "_static").rglob("*.woff")]:
        if path.name != "all.css" and path.name not in css:
            path.unlink()
    return {path: linked(text, f"_static/all.css?v={version}") for path, text in pages.items()}


def linked(text, style):
    root = ROOT_OF_PAGE.search(text)[1]
    first = STYLE.search(text).start()
    link = f'\n<link rel="stylesheet" href="{root}{style}">'
    return text[:first] + link + STYLE.sub("", text[first:])


def words_of(pages, out):
    """Each class and id of a page, and each word of a script: there can be no others."""
    texts = [value for text in pages.values() for value in NAMED.findall(text)]
    texts += [path.read_text("utf-8") for path in sorted(out.rglob("*.js"))]
    return {word for text in texts for word in WORD.findall(text)}


def bundled(names, out):
    """The text of several style sheets in their order, with small pictures in it."""
    entry = "".join(f'@import "./{name}";\n' for name in names)
    pictures = ["--loader:.svg=dataurl", "--external:*.woff", "--external:*.woff2"]
    return esbuild(entry, out, "--bundle", *pictures)


def minified(css):
    return esbuild(css, HOME, "--minify")


def esbuild(css, folder, *options):
    done = subprocess.run(
        [package("esbuild") / "bin" / "esbuild", "--loader=css", "--target=es2022,safari16"]
        + ["--log-level=error", *options],
        cwd=folder,
        input=css,
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        raise BookError(f"esbuild failed: {done.stderr.strip().splitlines()[0]}")
    return done.stdout


def rules(css):
    """(what stands before the braces, what in them), or (statement, None), of a style sheet."""
    before, inside, depth = [], [], 0
    for piece in PIECE.findall(COMMENT.sub("", css)):
        depth += (piece == "{") - (piece == "}")
        if depth == 0 and piece == "}":
            yield "".join(before).strip(), "".join(inside)
            before, inside = [], []
        elif depth == 0 and piece == ";":
            yield "".join(before).strip() + ";", None
            before = []
        elif depth == 0:
            before.append(piece)
        elif (depth, piece) != (1, "{") or inside:
            inside.append(piece)


def used(css, words):
    """A style sheet without the rules whose classes and ids are in no word of the site."""
    kept = []
    for before, inside in rules(css):
        if inside is None:
            kept.append(before)
        elif before.startswith(("@media", "@supports", "@container")):
            if part := used(inside, words):
                kept.append(f"{before}{{{part}}}")
        elif before.startswith("@"):
            if before != "@font-face" or is_drawn(inside, words):
                kept.append(f"{before}{{{inside}}}")
        elif selectors := [one for one in split(before) if names(one) <= words]:
            kept.append(f"{','.join(selectors)}{{{inside}}}")
    return "\n".join(kept)


def is_drawn(font, words):
    """Whether a font is one of MathJax with letters in some equation; site.css draws the icons."""
    family = re.search(r'font-family:\s*"?([\w-]+)', font)[1]
    return family in ("MJXZERO", "MJXTEX") or family.removeprefix("MJX") in words


def split(selectors):
    """The selectors of a list, at the commas that stand in no parentheses."""
    return re.split(r",(?![^()]*\))", selectors)


def names(selector):
    """The classes and ids that a selector needs: what is in parentheses may be a :not."""
    bare = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", selector))
    return {re.sub(r"\\(.)", r"\1", name) for name in NAME.findall(re.sub(r'"[^"]*"', "", bare))}


# Scripts.


def with_deferred_scripts(text):
    """No script holds up the page; a module in the page runs in its turn after deferred ones."""
    text = re.sub(r'<script src="([^"]+)"></script>', r'<script defer src="\1"></script>', text)
    inline = "<script>DOCUMENTATION_OPTIONS"
    return text.replace(inline, inline.replace("script", 'script type="module"'))


def calm_theme(path):
    """Keep the theme from measuring each piece of code and each output, again at each change.

    It makes a stop for the Tab key of those that scroll. Here none does (the tests look), and on a
    long page the measuring is most of what a phone does.
    """
    script = path.read_text("utf-8")
    calm, times = re.subn(r'\["pre",[^\]]*\]\.join\(", "\)', '"#nothing-scrolls"', script)
    if times != 1:
        raise BookError("the theme's script is another one: see calm_theme in site/slim.py")
    write(path, calm)
