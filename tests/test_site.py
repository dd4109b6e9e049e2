"""What docs/site_pages.py does to documents before Sphinx reads them. ``make docs`` builds the pages themselves."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def module_of(name: str):
    """A module of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site():
    return module_of("site_pages")


def followed(site, root: Path, text: str, file: str, page: str | None = None) -> str:
    source = [text]
    pages = site.link_target_pages(root / "docs", root)
    site.follow_links(source, root / file, pages, root / page if page else None)
    return source[0]


@pytest.fixture
def root(tmp_path):
    for name in (
        "docs/a.md",
        "docs/tutorials/b.md",
        "docs/x.json",
        "CHANGELOG.md",
        "data_prep/new_set/README.md",
        "setup.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    return tmp_path


def test_links_lead_to_pages(site, root):
    assert followed(site, root, "[a](../a.md#b)", "docs/tutorials/b.md") == "[a](../a.md#b)"
    assert followed(site, root, "[c](../CHANGELOG.md)", "docs/a.md") == "[c](made/changes.md)"
    assert followed(site, root, "[d](../data_prep/new_set/README.md#x)", "docs/a.md") == "[d](made/cards/new_set.md#x)"
    assert (
        followed(site, root, "[a](docs/a.md), [l](LICENSE)", "CHANGELOG.md", "docs/made/changes.md")
        == "[a](../a.md), [l](LICENSE)"
    )


def test_other_files_of_the_repository_become_text_and_web_addresses_stay(site, root):
    assert followed(site, root, "[s](../setup.py) [x](x.json)", "docs/a.md") == "s [x](x.json)"
    for link in ("[w](https://example.org/a.md)", "[m](mailto:a@b.c)", "[h](#here)", "![f](results/f.svg)"):
        assert followed(site, root, link, "docs/a.md") == link


def test_formulas_in_docstrings_are_no_markup(site):
    lines = ["allowed |a − b| / b, ``|x|`` stays", "[n, *channels] and *emphasis* stays", "a * b"]
    site.plain_formulas(lines)
    assert lines == ["allowed \\|a − b\\| / b, ``|x|`` stays", "[n, \\*channels] and *emphasis* stays", "a * b"]


def test_every_public_name_has_a_page_with_its_docstring(site):
    import charge3net

    for name in charge3net.__all__:
        if not name.startswith("_"):
            assert f"charge3net.{name}\n" in site._api_page(name)
            assert getattr(charge3net, name).__doc__


def test_a_page_that_the_index_forgets_is_added(site, root):
    source = [":::{toctree}\nA title <a>\nRun one of the studies <studies>\n:::\n"]
    (root / "docs" / "studies.md").write_text("")
    (root / "docs" / "new.md").write_text("")
    site.complete_index(source, root / "docs")
    assert source[0].split("\n")[3:] == ["new", "tutorials/b", ":::", ""]


def test_every_tutorial_can_be_had_as_a_notebook(tmp_path):
    """With all its code, and without links that lead nowhere outside of the site."""
    pytest.importorskip("myst_nb", reason="myst_nb is not installed; make docs installs it")
    notebooks = module_of("site_notebooks")
    shutil.copytree(ROOT / "docs" / "tutorials", tmp_path / "tutorials")
    notebooks.write_notebooks(tmp_path)
    for page in sorted((tmp_path / "tutorials").glob("*.md")):
        written = json.loads((tmp_path / notebooks.NOTEBOOKS / f"{page.stem}.ipynb").read_text())
        code = ["".join(cell["source"]) for cell in written["cells"] if cell["cell_type"] == "code"]
        assert code == [cell.rstrip("\n") for cell in re.findall(r"```{code-cell}\n(.*?)```", page.read_text(), re.S)]
        assert not re.search(r"\]\((?!https)[^)]*\.md", json.dumps(written["cells"]))
        source = [page.read_text()]
        notebooks.offer_notebook(f"tutorials/{page.stem}", source)
        assert f"{page.stem}.ipynb>`" in source[0]
