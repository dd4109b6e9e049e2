"""How the tutorials are run, and how a reader gets them as notebooks."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from nbclient import NotebookClient

#: Where the notebooks are written, below docs/; not in git, and no pages of their own.
NOTEBOOKS = "made/notebooks"

_LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!https?:)[^)]*\)")


def write_notebooks(docs: Path) -> None:
    """Write every tutorial as a notebook without outputs; links to other pages, which it cannot follow, become text."""
    folder = docs / NOTEBOOKS
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted(docs.glob("tutorials/*.md")):
        notebook = read_myst_markdown_notebook(page.read_text(), path=page)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = _LINK.sub(r"\1", cell.source)
        nbformat.write(notebook, folder / f"{page.stem}.ipynb")


def offer_notebook(name: str, source: list[str]) -> None:
    """Put a link to the notebook below the line of a tutorial that says what it needs; ``source`` is changed.

    Raises:
        ValueError: for a tutorial without such a line.
    """
    if not name.startswith("tutorials/"):
        return
    note = re.search(r"^\*You need: .*?\*$", source[0], re.M | re.S)
    if note is None:
        raise ValueError(f"{name}: no line '*You need: …*' below the title")
    where = " Run it in the folder of the clone." if "a clone" in note[0] else ""
    link = f"{{download}}`Download this page as a notebook </{NOTEBOOKS}/{name.partition('/')[2]}.ipynb>`."
    source[0] = f"{source[0][: note.end()]}\n\n{link}{where}{source[0][note.end() :]}"


def join_output() -> None:
    """Let the output of a cell be one text: a command's output arrives in pieces, which would be shown as lines."""
    start = NotebookClient.__init__

    def joined(self, *args, **settings) -> None:
        start(self, *args, **{"coalesce_streams": True} | settings)

    NotebookClient.__init__ = joined


def spread_tutorials(names: list[str]) -> None:
    """Put half of the tutorials first and half last: two processes that read parts of the list then share them."""
    tutorials = [name for name in names if name.startswith("tutorials/")]
    others = [name for name in names if name not in tutorials]
    names[:] = tutorials[::2] + others + tutorials[1::2]
