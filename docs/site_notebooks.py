"""How the tutorials are run."""

from __future__ import annotations

from nbclient import NotebookClient


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
