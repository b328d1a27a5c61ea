"""Settings of Sphinx; `site/build.py` runs it, on the pages that `site/prepare.py` made."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from page import NO_MATHJAX, finish_page, forget_unused_files  # noqa: E402

project = "numpygpt"
author = copyright = "the numpygpt authors"
language = "en"

extensions = ["myst_nb", "sphinx.ext.mathjax"]
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["**.ipynb_checkpoints"]
numfig = False

# The outputs that are stored are the book's: a build of the site runs nothing.
nb_execution_mode = "off"
nb_merge_streams = True
nb_number_source_lines = False
nb_ipywidgets_js = {}
nb_code_prompt_show = "Show code that draws"
nb_code_prompt_hide = "Hide code that draws"

# Equations are drawn by slim.py, after Sphinx: no page loads this.
mathjax_path = NO_MATHJAX

html_theme = "sphinx_book_theme"
html_title = "numpygpt"
html_baseurl = ""
templates_path = [str(HERE / "_templates")]
html_static_path = [str(HERE / "_static")]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_last_updated_fmt = None
html_sidebars = {"**": ["search-button-field.html", "chapters.html"]}
html_context = {"default_mode": "auto"}
html_theme_options = {
    "article_header_end": ["article-header-buttons.html"],
    "back_to_top_button": False,
    "pygments_dark_style": "a11y-dark",
    "pygments_light_style": "a11y-light",
    "search_bar_text": "Search the book",
    "show_toc_level": 2,
    "toc_title": "On this page",
    "use_download_button": False,
    "use_fullscreen_button": False,
}


def setup(app):
    app.connect("html-page-context", finish_page, priority=900)
    app.connect("build-finished", forget_unused_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
