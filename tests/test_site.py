"""What docs/site_pages.py does to documents before Sphinx reads them. ``make docs`` builds the pages themselves."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site():
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
