from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from charge3net.data.splits import Split, hash_order, make_split, nested_subset, read_names, read_split
from charge3net.errors import InputError

KEYS = [f"mp-{i}" for i in range(100)]


def test_fractions_divide_everything_once() -> None:
    split = make_split(KEYS, fractions=(0.8, 0.1, 0.1), seed=3)
    assert (len(split.train), len(split.validation), len(split.test)) == (80, 10, 10)
    assert sorted(split.train + split.validation + split.test) == sorted(KEYS)


def test_a_split_depends_on_seed_and_names_alone() -> None:
    split = make_split(KEYS, fractions=(0.8, 0.1, 0.1), seed=3)
    assert make_split(KEYS[::-1], fractions=(0.8, 0.1, 0.1), seed=3) == split
    assert make_split(KEYS, fractions=(0.8, 0.1, 0.1), seed=4) != split
    more = make_split([*KEYS, "new-1", "new-2"], counts=(80, 10, 10), seed=3)
    assert len(set(more.test) & set(split.test)) >= 8  # two newcomers move at most two


def test_counts_leave_the_rest_unused() -> None:
    split = make_split(KEYS, counts=(20, 5, 7))
    assert (len(split.train), len(split.validation), len(split.test)) == (20, 5, 7)


def test_groups_stay_together() -> None:
    groups = {key: f"f{int(key[3:]) // 3}" for key in KEYS}
    split = make_split(KEYS, fractions=(0.7, 0.15, 0.15), seed=1, groups=groups)
    of = [{groups[key] for key in part} for part in (split.train, split.validation, split.test)]
    assert not of[0] & of[1]
    assert not of[0] & of[2]
    assert not of[1] & of[2]
    assert sorted(split.train + split.validation + split.test) == sorted(KEYS)
    assert 12 <= len(split.test) <= 15
    assert 12 <= len(split.validation) <= 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": (0.8, 0.1, 0.2)}, "add up to 1"),
        ({"fractions": (1.1, -0.1, 0.0)}, "add up to 1"),
        ({"fractions": (0.996, 0.004, 0.0)}, "is not one"),
        ({"counts": (90, 10, 10)}, "asks for 110"),
        ({"counts": (5, -1, 1)}, "asks for"),
        ({}, "either fractions or counts"),
        ({"fractions": (1.0, 0.0, 0.0), "counts": (1, 1, 1)}, "either fractions or counts"),
        ({"counts": (50, 5, 5), "groups": dict.fromkeys(KEYS, "one")}, "small enough for a train part"),
        ({"fractions": (0.8, 0.1, 0.1), "groups": dict.fromkeys(KEYS, "one")}, "small enough for a validation part"),
    ],
)
def test_impossible_splits(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_split(KEYS, **arguments)


def test_subsets_are_nested() -> None:
    sizes = (1, 10, 37, 100)
    subsets = [set(nested_subset(KEYS, size, seed=5)) for size in sizes]
    assert [len(subset) for subset in subsets] == list(sizes)
    assert all(small < large for small, large in pairwise(subsets))
    assert nested_subset(KEYS[::-1], 10, seed=5) == nested_subset(KEYS, 10, seed=5)
    assert set(nested_subset(KEYS, 10, seed=6)) != subsets[1]
    for size in (0, 101):
        with pytest.raises(InputError, match="has 100 materials"):
            nested_subset(KEYS, size)


def test_hash_order_is_fixed_for_good() -> None:
    """BLAKE2b is a standard: the order may not change with a version of anything."""
    assert hash_order(["a", "b", "c", "d", "e"], 0) == ORDER_0
    assert hash_order(["e", "d", "c", "b", "a"], 0) == ORDER_0


# for n in a b c d e; do printf "0\\0$n" | b2sum -l 128 | sed "s/-/$n/"; done | sort
ORDER_0 = ["d", "a", "e", "b", "c"]


def test_save_and_read(tmp_path: Path) -> None:
    split = make_split(KEYS, fractions=(0.8, 0.1, 0.1))
    split.save(tmp_path / "deep" / "split.json")
    assert read_split(tmp_path / "deep" / "split.json") == split
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["split.json"]
    assert set(json.loads((tmp_path / "deep" / "split.json").read_text())) == {"train", "validation", "test"}


def test_hash_counts_members_not_order() -> None:
    assert Split(("a", "b"), ("c",)).hash == Split(("b", "a"), ("c",)).hash
    assert Split(("a", "b"), ("c",)).hash != Split(("a",), ("b", "c")).hash


def test_published_positions(tmp_path: Path) -> None:
    """The form of split.json (ChargE3Net) and datasplits.json (DeepDFT): positions in a list of files."""
    (tmp_path / "datasplits.json").write_text('{"train": [2, 0], "validation": [3], "test": [1]}')
    (tmp_path / "filelist.txt").write_text("mp-10\nmp-11\n\nmp-12\nmp-13\n")
    names = read_names(tmp_path / "filelist.txt")
    split = read_split(tmp_path / "datasplits.json", names)
    assert split == Split(("mp-12", "mp-10"), ("mp-13",), ("mp-11",))
    with pytest.raises(InputError, match="--file-list"):
        read_split(tmp_path / "datasplits.json")
    with pytest.raises(InputError, match=r"position 3.*3 names"):
        read_split(tmp_path / "datasplits.json", names[:3])
    (tmp_path / "list.json").write_text('["x", "y"]')
    assert read_names(tmp_path / "list.json") == ["x", "y"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"train": [], "validation": ["a"]}', "training part .* is empty"),
        ('{"train": ["a", "b"], "validation": ["a"]}', "'a' twice, in train and validation"),
        ('{"train": ["a", "a"]}', "'a' twice, in train and train"),
        ('{"train": ["a"], "valid": ["b"]}', "not 'valid'"),
        ('{"validation": ["b"]}', "no train"),
        ('["a"]', "must hold the lists"),
        ('{"train": "a"}', "must hold the lists"),
        ('{"train": [1.5]}', "1.5 where a name"),
        ('{"train": [true]}', "True where a name"),
        ('{"train": ', "not JSON"),
    ],
)
def test_bad_split_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "split.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_split(tmp_path / "split.json")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.json: cannot be read"):
        read_split(tmp_path / "no.json")
    with pytest.raises(InputError, match=r"no\.txt: cannot be read"):
        read_names(tmp_path / "no.txt")


def test_unknown_and_rejected_names() -> None:
    split = Split(("a", "b"), ("c",))
    split.check(["c", "b", "a", "d"])
    with pytest.raises(InputError, match=r"1 materials .*'c'"):
        split.check(["a", "b"])
    assert split.restricted_to(["a", "c"]) == Split(("a",), ("c",))
    assert split.part("validation") == ("c",)
    with pytest.raises(InputError, match="test part of the split is empty"):
        split.part("test")
    with pytest.raises(InputError, match="not 'val'"):
        split.part("val")
