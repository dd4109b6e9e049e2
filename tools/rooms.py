"""Rooms, floors and arrows of the package, counted from its imports.

    python tools/rooms.py [FOLDER]

FOLDER holds charge3net/ (default: this repository). A room is a module beside ``charge3net/__init__.py`` or a folder;
all studies are one room. An arrow leads from a room to a room of which it uses a module: by an import (at the top, in
a function, or for types only), or by a dotted name held as text (registries, ``_target_``, ``import_module``,
``python -m``). A floor is the longest way down; rooms of a circle share one. tests/test_architecture.py checks the
arrows against the order of the rooms.
"""

from __future__ import annotations

import argparse
import ast
import re
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "charge3net"
ROOT = Path(__file__).resolve().parents[1]
_NAME = re.compile(rf"\b{PACKAGE}(?:\.[A-Za-z_]\w*)+")


@dataclass(frozen=True)
class Use:
    """One module that a file names.

    Attributes:
        file: path below the root.
        line: where.
        module: dotted name of what is used, below charge3net.
        scope: the class and function around an import, "" at the top of the file.
    """

    file: Path
    line: int
    module: str
    scope: str = ""


def modules_of(root: Path) -> dict[str, Path]:
    """Dotted name → file of every module of the package."""
    found = {}
    for file in sorted((root / PACKAGE).rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def room_of(module: str, root: Path = ROOT) -> str:
    """Name of the room of a module: a file beside ``__init__.py`` is one, a folder is one; ``__main__`` is in cli."""
    below = module.split(".")[1:]
    if below == ["__main__"]:
        return "cli"
    while len(below) > 1 and (below[0] == "studies" or not root.joinpath(PACKAGE, *below).is_dir()):
        below.pop()
    return ".".join(below)


def uses(root: Path) -> Iterator[tuple[str, Use]]:
    """(name of the module, what it names) over the package and its configurations."""
    modules = modules_of(root)
    for name, file in modules.items():
        tree = ast.parse(file.read_text())
        for use in [*_imports(tree, file.relative_to(root)), *_names_in_text(tree, file.relative_to(root))]:
            module = _known(use.module, modules)
            if module and module != name:
                yield name, Use(use.file, use.line, module, use.scope)
    for file in sorted((root / "conf").rglob("*.yaml")):
        for line, text in enumerate(file.read_text().splitlines(), 1):
            for match in _NAME.finditer(re.sub(r"(^|\s)#.*", "", text)):
                if module := _known(match[0], modules):
                    yield f"{PACKAGE}.conf", Use(file.relative_to(root), line, module)


def _known(name: str, modules: Mapping[str, Path]) -> str:
    """The longest part of a dotted name that is a module; "" where it is none but the package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return "" if name == PACKAGE else name


def _imports(tree: ast.Module, file: Path) -> Iterator[Use]:
    def visit(node: ast.AST, scope: str) -> Iterator[Use]:
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                inner = f"{scope}.{child.name}".lstrip(".")
            elif isinstance(child, ast.Import):
                yield from (Use(file, child.lineno, a.name, scope) for a in child.names if _ours(a.name))
            elif isinstance(child, ast.ImportFrom):
                base = _absolute(child, file)
                if _ours(base):
                    yield from (Use(file, child.lineno, f"{base}.{a.name}", scope) for a in child.names)
            yield from visit(child, inner)

    return visit(tree, "")


def _ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _absolute(node: ast.ImportFrom, file: Path) -> str:
    """The module of ``from X import …``, relative ones included."""
    if not node.level:
        return node.module or ""
    package = file.parts[: len(file.parts) - node.level]
    return ".".join([*package, node.module or ""]).rstrip(".")


def _names_in_text(tree: ast.Module, file: Path) -> Iterator[Use]:
    """Dotted names in strings that are only names: documentation and messages do not count."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr) and node.values and isinstance(node.values[0], ast.Constant):
            text = str(node.values[0].value).rstrip(".")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value.replace(":", ".").rstrip(".")
        else:
            continue
        if _NAME.fullmatch(text):
            yield Use(file, node.lineno, text)


def arrows(root: Path, without: Set[tuple[str, str]] = frozenset()) -> dict[tuple[str, str], list[Use]]:
    """(from room, to room) → uses; those whose (module, scope) is in ``without`` are left out."""
    found = defaultdict(list)
    for module, use in uses(root):
        here, there = room_of(module, root), room_of(use.module, root)
        if here and here != there and (module, use.scope) not in without:
            found[here, there].append(use)
    return dict(found)


def circles(pairs: Set[tuple[str, str]]) -> list[list[str]]:
    """Groups of rooms that reach each other."""
    reach = _reachable(pairs)
    rooms = sorted({room for pair in pairs for room in pair})
    groups = {tuple(sorted({room} | {o for o in reach[room] if room in reach[o]})) for room in rooms}
    return sorted(list(group) for group in groups if len(group) > 1)


def floors(rooms: Set[str], pairs: Set[tuple[str, str]]) -> dict[str, int]:
    """Room → longest way down to a room that uses no other, counted in steps; a circle counts as one room."""
    reach = _reachable(pairs)
    below = {room: {o for o in reach[room] if room not in reach[o]} for room in rooms}
    found: dict[str, int] = {}
    for room in sorted(rooms, key=lambda one: len(below[one])):
        found[room] = 1 + max((found[other] for other in below[room]), default=0)
    return found


def _reachable(pairs: Set[tuple[str, str]]) -> dict[str, set[str]]:
    straight = defaultdict(set)
    for one, other in pairs:
        straight[one].add(other)
    reach: dict[str, set[str]] = defaultdict(set)
    for start in [*straight]:
        todo = [start]
        while todo:
            for other in straight.get(todo.pop(), ()):
                if other not in reach[start]:
                    reach[start].add(other)
                    todo.append(other)
    return reach


def rooms_of(root: Path) -> set[str]:
    """All rooms, empty ``__init__.py`` of the package left out."""
    return {room for module in modules_of(root) if (room := room_of(module, root))}


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT)
    root = parser.parse_args().folder.resolve()
    found = arrows(root)
    rooms, level = rooms_of(root), floors(rooms_of(root), set(found))
    lines = {file: len(file.read_text().splitlines()) for file in modules_of(root).values()}
    largest = max(lines, key=lambda file: lines[file])
    for floor in sorted(set(level.values()), reverse=True):
        print(f"{floor:3d}  {' '.join(sorted(room for room in rooms if level[room] == floor))}")
    between = circles(set(found))
    by_file = {(use.file, room) for (_, room), each in found.items() for use in each}
    print(f"rooms {len(rooms)}, floors {max(level.values())}, circles {len(between)}: {between}")
    print(f"arrows between rooms {len(found)}, from files to rooms {len(by_file)}")
    print(
        f"files {len(lines)}, median {statistics.median(lines.values()):.0f} lines, largest "
        f"{largest.relative_to(root)} {lines[largest]}, lines {sum(lines.values())}"
    )


if __name__ == "__main__":
    main()
