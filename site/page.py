"""The last touch to each page that Sphinx made, and to the files that it copied."""

import re
from html import escape, unescape
from pathlib import Path

from coursekit.address import repository
from coursekit.elsewhere import links

HERE = Path(__file__).resolve().parent
# In the place of live.js's own, so that nothing moves when that comes.
BAR = (
    '<div class="live-bar pst-js-only"><button type="button" disabled>Run this page</button></div>'
)
NO_MATHJAX = "no-mathjax.js"
TAG = re.compile(r"<[^>]+>")
CODE = re.compile(r"<pre>(.*?)</pre>", re.DOTALL)
HEADER = re.compile(r'<th class="head([^"]*)">(?:<p>)?(.*?)(?:</p>)?</th>', re.DOTALL)


def columns(code):
    """The letters of the longest line of a piece of HTML."""
    lines = unescape(TAG.sub("", code)).splitlines()
    return max(map(len, lines), default=0)


def with_columns(html):
    """Say beside each piece of code how wide it is: site.css chooses its letters by that."""

    def opened(match):
        return f'<pre style="--columns:{max(columns(match[1]), 1)}">{match[1]}</pre>'

    return CODE.sub(opened, html)


def with_headers(html):
    """Headers of tables that say what they head; one without a text becomes an ordinary cell."""

    def named(match):
        side, text = match.groups()
        if not text.strip():
            return f'<td class="head{side}"></td>'
        return f'<th scope="col" class="head{side}"><p>{text}</p></th>'

    return HEADER.sub(named, html)


def actions(pagename, exercises, elsewhere):
    """The line below a notebook's title: what belongs to it, the whole book, where it opens.

    Args:
        exercises: the names of all sets, such as "09_layernorm".
        elsewhere: addresses of this notebook in other places, by their names.
    """
    folder, name = pagename.split("/")
    found = []
    if folder == "notebooks" and name in exercises:
        found.append(f'<a href="../exercises/{name}.html">Exercises</a>')
    if folder == "exercises":
        found.append(f'<a href="../notebooks/{name}.html">The chapter</a>')
    # A notebook alone would find neither the package nor the data.
    found.append('<a href="../numpygpt.zip" download>Download the book</a>')
    for place, address in elsewhere.items():
        found.append(f'<a href="{escape(address)}">Open in {place.title()}</a>')
    return f'<div class="page-actions">{"".join(found)}</div>'


def finish_page(app, pagename, templatename, context, doctree):
    """Sphinx's event html-page-context."""
    if "body" not in context:
        return
    context["script_files"] = [one for one in context["script_files"] if not is_mathjax(one)]
    body = with_headers(with_columns(context["body"]))
    # The label of a fold would keep what it says from a screen reader.
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    if pagename.startswith(("notebooks/", "exercises/")):
        names = {page.split("/")[1] for page in app.env.all_docs if page.startswith("exercises/")}
        places = links(repository(HERE.parent), f"{pagename}.ipynb")
        elsewhere = {place: places[place] for place in ("colab", "binder")}
        body = body.replace("</h1>", "</h1>" + BAR + actions(pagename, names, elsewhere), 1)
    context["body"] = body


def is_mathjax(script):
    """Whether Sphinx wants to load MathJax, or to set it up: equations are drawn already."""
    return NO_MATHJAX in f"{script.filename}" or "MathJax" in script.attributes.get("body", "")


# What the theme brings and no page loads: icons as a script and as fonts, maps for its authors.
UNUSED = (
    "*webpack-macros.html",
    "scripts/fontawesome.js*", "vendor", "**/*.map", "locales", "images/logo_*",
    "file.png", "minus.png", "plus.png", "mystnb.*.js",
)  # fmt: skip


def forget_unused_files(app, exception):
    """Sphinx's event build-finished."""
    import shutil

    for pattern in UNUSED:
        for path in sorted(Path(app.outdir, "_static").glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
