"""Pages that are made when the site is built: one for each public name, and copies of documents of other folders."""

from __future__ import annotations

import inspect
import os
import re
import shutil
from pathlib import Path

import charge3net

#: Where the pages are written; not in git.
MADE = "made"

#: Documents outside docs/ that are pages of the site: file → page.
OUTSIDE = {
    "CHANGELOG.md": "changes",
    "CONTRIBUTING.md": "contributing",
    "data_prep/README.md": "cards/data_prep",
    "benchmarks/results/README.md": "measurements",
    "benchmarks/README.md": "benchmarks",
}

#: Characters of formulas in docstrings that reStructuredText reads as markup: |x| and the star of *channels.
_BARS_AND_STARS = re.compile(r"``.*?``|(?P<mark>\||(?<![*\w])\*(?=\w)(?![^*]*\w\*(?!\w)))")

_LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<path>[^)#\s]+)(?P<anchor>#[^)]*)?\)")


def write_pages(docs: Path, root: Path) -> None:
    """Write all made pages into a new folder."""
    made = docs / MADE
    shutil.rmtree(made, ignore_errors=True)
    for folder in ("api", "cards"):
        (made / folder).mkdir(parents=True)
    for name in charge3net.__all__:
        if not name.startswith("_"):
            (made / "api" / f"{name}.md").write_text(_api_page(name))
    pages = link_target_pages(docs, root)
    for file, page in _outside(root).items():
        source = [(root / file).read_text()]
        follow_links(source, root / file, pages, made / f"{page}.md")
        (made / f"{page}.md").write_text(source[0])


def _api_page(name: str) -> str:
    """Markdown of the page of a public name."""
    function = inspect.isfunction(getattr(charge3net, name))
    directive = f".. {'autofunction' if function else 'autoclass'}:: charge3net.{name}\n"
    inherited = "" if function else "   :inherited-members: Module, Exception\n"
    return f"# {name}\n\n```{{eval-rst}}\n{directive}{inherited}```\n"


def plain_formulas(lines: list[str]) -> None:
    """Escape, in place, what is a formula in the lines of a docstring and would be markup."""
    lines[:] = [_BARS_AND_STARS.sub(lambda m: "\\" + m["mark"] if m["mark"] else m[0], line) for line in lines]


def _outside(root: Path) -> dict[str, str]:
    """:data:`OUTSIDE` and the data cards, as far as the files exist."""
    found = sorted(root.glob("data_prep/*_set/README.md"))
    cards = {str(card.relative_to(root)): f"cards/{card.parent.name}" for card in found}
    return {file: page for file, page in (OUTSIDE | cards).items() if (root / file).is_file()}


def link_target_pages(docs: Path, root: Path) -> dict[Path, Path]:
    """Document → the file that is its page."""
    own = {path.resolve(): path for path in docs.rglob("*.md")}
    return own | {(root / file).resolve(): docs / MADE / f"{page}.md" for file, page in _outside(root).items()}


def complete_index(source: list[str], docs: Path) -> None:
    """Add pages that the index does not name to its last list before the results, so that a new page is never lost."""
    names = sorted(
        str(page.relative_to(docs).with_suffix("")) for page in [*docs.glob("*.md"), *docs.glob("tutorials/*")]
    )
    missing = [name for name in names if name != "index" and not re.search(rf"^(.*<)?{name}>?$", source[0], re.M)]
    source[0] = source[0].replace("studies <studies>\n", "studies <studies>\n" + "".join(f"{m}\n" for m in missing))


def follow_links(source: list[str], file: Path, pages: dict[Path, Path], page: Path | None = None) -> None:
    """Let the relative links of a document lead to pages; links to other files of the repository become plain text.

    Args:
        source: one text, changed in place.
        file: the document; its links are relative to its folder.
        pages: of :func:`link_target_pages`.
        page: where the text will stand, if not at ``file``.
    """
    place = (page or file).parent

    def target(match: re.Match[str]) -> str:
        found = (file.parent / match["path"]).resolve()
        anchor = match["anchor"] or ""
        if found in pages:
            return f"]({os.path.relpath(pages[found], place)}{anchor})"
        if found.is_file() and found.is_relative_to(file.parent) and page is None:
            return match[0]
        return "]()" if found.exists() else match[0]

    text = _LINK.sub(target, source[0])
    source[0] = re.sub(r"(?<!!)\[([^]]*)\]\(\)", r"\1", text)
