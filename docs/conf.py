"""Settings of the documentation site: ``make docs`` writes it to docs/_build/html."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

from site_math import add_math  # noqa: E402
from site_notebooks import NOTEBOOKS, join_output, offer_notebook, spread_tutorials, write_notebooks  # noqa: E402
from site_pages import complete_index, follow_links, link_target_pages, plain_formulas, write_pages  # noqa: E402

import charge3net  # noqa: E402

project = "charge3net"
author = "The charge3net developers"
version = release = charge3net.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "results/*", f"{NOTEBOOKS}/*"]
source_suffix = {".md": "myst-nb"}

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["config.cache"]

# Tutorials run in folders of their own. Their commands are those of this environment and of this clone.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["PYTHONPATH"] = str(ROOT)
os.environ["CLONE"] = str(ROOT)
os.environ.setdefault("OMP_NUM_THREADS", "1")

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
# Names of types that are clearer than what they stand for.
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Allocate", "Electrons", "Progress")}
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "charge3net"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
highlight_language = "text"
copybutton_exclude = ".linenos, .gp, .go"


def _prepare(name, source, pages):
    if name == "index":
        complete_index(source, DOCS)
    follow_links(source, DOCS / f"{name}.md", pages)
    offer_notebook(name, source)


def _readable(app, what, name, obj, options, signature, returned):
    """Defaults that are no Python (``<factory>``) would be a signature that Sphinx cannot read."""
    text = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", (signature or "").replace("<factory>", "..."))
    return text or None, returned


def setup(app):
    """Pages from docstrings and from documents of other folders; equations as MathML."""
    write_pages(DOCS, ROOT)
    write_notebooks(DOCS)
    join_output()
    pages = link_target_pages(DOCS, ROOT)
    app.connect("source-read", lambda app, name, source: _prepare(name, source, pages))
    app.connect("autodoc-process-docstring", lambda app, what, name, obj, options, lines: plain_formulas(lines))
    app.connect("env-before-read-docs", lambda app, env, names: spread_tutorials(names))
    app.connect("autodoc-process-signature", _readable)
    add_math(app)
