"""Which materials train, validate and test: made, nested for learning curves, saved, read, checked.

Orders are by hash: a material's (or group's) place depends on the seed and its own name only, so the order of the
others does not change when materials are added or the store is written in another order.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from charge3net.errors import InputError
from charge3net.io.files import open_source, write_whole
from charge3net.io.json_files import LARGEST, parse_json, read_json

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Names of the materials that train, validate and test.

    Raises:
        InputError: if a name occurs twice, in one part or in two.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part in PARTS:
            for key in getattr(self, part):
                if key in seen:
                    raise InputError(f"the split names {key!r} twice, in {seen[key]} and {part}; name it once")
                seen[key] = part

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the assignment of names to parts; the order within a part does not count."""
        text = json.dumps({part: sorted(getattr(self, part)) for part in PARTS}, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def part(self, name: str) -> tuple[str, ...]:
        """The names of one part.

        Raises:
            InputError: for a part that does not exist or is empty.
        """
        if name not in PARTS:
            raise InputError(f"a split has the parts {', '.join(PARTS)}, not {name!r}")
        if not getattr(self, name):
            raise InputError(f"the {name} part of the split is empty")
        return tuple(getattr(self, name))

    def restricted_to(self, keys: Sequence[str]) -> Split:
        """Without the names that are not among ``keys`` (entries that were rejected, say)."""
        known = set(keys)
        return Split(*(tuple(key for key in getattr(self, part) if key in known) for part in PARTS))

    def check(self, keys: Sequence[str]) -> None:
        """Raise InputError if a name is not among ``keys``."""
        known = set(keys)
        unknown = [key for part in PARTS for key in getattr(self, part) if key not in known]
        if unknown:
            raise InputError(
                f"the split names {len(unknown)} materials that the store does not have (first: {unknown[0]!r}); "
                "make it from this store with `charge3net data split`"
            )

    def save(self, path: str | Path) -> None:
        """Write ``{"train": [names], "validation": [names], "test": [names]}``."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def hash_order(names: Sequence[str], seed: int) -> list[str]:
    """The distinct names in an order that depends on the seed and each name only."""

    def place(name: str) -> bytes:
        return hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=16).digest()

    return sorted(set(names), key=place)


def nested_subset(keys: Sequence[str], size: int, seed: int = 0) -> tuple[str, ...]:
    """``size`` of the names; for the same seed a smaller subset is part of every larger one (learning curves).

    Raises:
        InputError: if there are not that many.
    """
    if not 1 <= size <= len(keys):
        raise InputError(f"a training subset of {size} was asked for, the training part has {len(keys)} materials")
    return tuple(hash_order(keys, seed)[:size])


def make_split(
    keys: Sequence[str],
    fractions: tuple[float, float, float] | None = None,
    counts: tuple[int, int, int] | None = None,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> Split:
    """Divide the materials at random.

    Args:
        keys: names of all materials.
        fractions: (train, validation, test), adding up to 1; validation and test are rounded, train takes the rest.
        counts: or numbers of (train, validation, test); materials left over are not used.
        seed: of the order.
        groups: name → group (a formula, say); a group is never divided. A part takes groups as they fit and may stay a
            little below its number.

    Raises:
        InputError: for impossible fractions or counts, or when a part that was asked for stays empty.
    """
    if len(set(keys)) != len(keys):
        raise InputError("names of materials must be unique")
    wanted = _counts_from_fractions(len(keys), fractions) if counts is None and fractions is not None else counts
    if wanted is None or (counts is not None and fractions is not None):
        raise InputError("a split needs either fractions or counts")
    if min(wanted) < 0 or sum(wanted) > len(keys):
        raise InputError(f"the split asks for {sum(wanted)} materials ({wanted}), there are {len(keys)}")
    members: dict[str, list[str]] = {}
    for key in sorted(keys):
        members.setdefault(groups[key] if groups is not None else key, []).append(key)
    room = dict(zip(PARTS, wanted, strict=True))
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    for group in hash_order(list(members), seed):
        for part in ("test", "validation", "train"):
            if len(members[group]) <= room[part]:
                parts[part] += members[group]
                room[part] -= len(members[group])
                break
        else:
            if fractions is not None:  # every material is used
                parts["train"] += members[group]
    for part, number in zip(PARTS, wanted, strict=True):
        if number and not parts[part]:
            raise InputError(
                f"no group of materials is small enough for a {part} part of {number}; ask for more or split by key"
            )
    return Split(*(tuple(parts[part]) for part in PARTS))


def read_split(path: str | Path, names: Sequence[str] | None = None) -> Split:
    """Read a split, ours or a published one.

    Ours holds names. The published ``split.json`` and ``datasplits.json`` hold positions in a list of files; ``names``
    is then that list, in its order.

    Args:
        path: JSON file with the lists ``train``, ``validation`` and, optionally, ``test``.
        names: the list that positions count in.

    Raises:
        InputError: for a file that is missing or has another form, positions without a list or beyond it, an empty
            training part, or a name that occurs twice.
    """
    content = read_json(path, "the split")
    if not isinstance(content, dict) or not all(isinstance(content.get(part, []), list) for part in PARTS):
        raise InputError(f"the split {path} must hold the lists {', '.join(PARTS)}")
    extra = sorted(set(content) - set(PARTS))
    if extra or "train" not in content:
        raise InputError(
            f"the split {path} must hold the lists {', '.join(PARTS)}, "
            + (f"not {extra[0]!r}" if extra else "no train")
        )
    parts = [tuple(_name(item, names, path) for item in content.get(part, [])) for part in PARTS]
    if not parts[0]:
        raise InputError(f"the training part of the split {path} is empty")
    try:
        return Split(*parts)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_names(path: str | Path) -> list[str]:
    """The list of files that positions count in: one name a line (published ``filelist.txt``), or a JSON list."""
    with open_source(path) as source:
        text = source.read_all(LARGEST).decode("utf-8", "replace")
    if text.lstrip().startswith("["):
        return [str(name) for name in parse_json(text, f"the list of files {path}")]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _name(item: object, names: Sequence[str] | None, path: str | Path) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, int) or isinstance(item, bool):
        raise InputError(f"the split {path} holds {item!r} where a name or a position in a list of files is expected")
    if names is None:
        raise InputError(
            f"the split {path} holds positions in a list of files; turn it into names with "
            "`charge3net data split STORE --published SPLIT --file-list LIST -o split.json`"
        )
    if not 0 <= item < len(names):
        raise InputError(f"the split {path} holds position {item}, the list of files has {len(names)} names")
    return names[item]


def _counts_from_fractions(total: int, fractions: tuple[float, float, float]) -> tuple[int, int, int]:
    if min(fractions) < 0 or abs(sum(fractions) - 1.0) > 1e-6:
        raise InputError(f"fractions must add up to 1 and none be negative, found {fractions}")
    validation, test = (round(fraction * total) for fraction in fractions[1:])
    for name, fraction, number in (("validation", fractions[1], validation), ("test", fractions[2], test)):
        if fraction and not number:
            raise InputError(f"a {name} fraction of {fraction:g} of {total} materials is not one; ask for more")
    return total - validation - test, validation, test
