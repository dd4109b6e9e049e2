"""How the tutorials are run."""

from __future__ import annotations

from nbclient import NotebookClient


def join_output() -> None:
    """Let the output of a cell be one text: a command's output arrives in pieces, which would be shown as lines."""
    start = NotebookClient.__init__

    def joined(self, *args, **settings) -> None:
        start(self, *args, **{"coalesce_streams": True} | settings)

    NotebookClient.__init__ = joined
