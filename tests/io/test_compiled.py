"""The compiled decoder and turner against Python's float, numpy's code and each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

import charge3net.io.numbers.compiled as compiled
from charge3net.io import read_density
from charge3net.io.number_stream import ValueReader
from charge3net.io.numbers.columns import PADDING, Columns, Decoder
from charge3net.io.numbers.fortran import lost_point, parse_number
from charge3net.kernels import torch_only
from charge3net.kernels.library import library

pytestmark = pytest.mark.compiled


def fields(digits: int, count: int, seed: int, low: int = -99, high: int = 99) -> list[str]:
    """Printed numbers with a digit before the point, as C prints them, of all magnitudes and lengths of mantissa."""
    rng = np.random.default_rng(seed)
    mantissas = rng.integers(0, 10 ** (digits + 1), count) // 10 ** rng.integers(0, digits + 1, count)
    signs, exponents = rng.choice([" ", "-"], count), rng.integers(low, high + 1, count)
    words = (f"{m:0{digits + 1}d}" for m in mantissas.tolist())
    return [f"{s}{w[0]}.{w[1:]}E{e:+03d}" for s, w, e in zip(signs, words, exponents, strict=True)]


def decoded(words: list[str], digits: int) -> ndarray:
    """What a Decoder makes of them, all in one line."""
    width = len(words[0])
    columns = Columns(width, width - digits - 5, digits, b"E", len(words), b"\n", False)
    text = np.frombuffer(b"\0" * PADDING + "".join(words).encode(), dtype=np.uint8)
    values = np.empty(len(words))
    Decoder(columns, len(words)).decode(text, PADDING, (len(words),), (width,), values)
    return values


@pytest.mark.parametrize("digits", [1, 3, 5, 9, 10, 11, 13])
def test_every_number_is_pythons_to_the_last_bit(digits: int) -> None:
    words = fields(digits, 20_000, digits)
    expected = np.array([float(word) for word in words])
    np.testing.assert_array_equal(decoded(words, digits).view(np.uint64), expected.view(np.uint64))


@pytest.mark.parametrize("zero", ["0", ""])
def test_numbers_as_vasp_prints_them(zero: str) -> None:
    """ " 0.ddddddddddde±dd", minus with or without the 0: runs of ordinary numbers with a few of extreme exponents."""
    rng = np.random.default_rng(5)
    mantissas, exponents = rng.integers(0, 10**11, 40_000), rng.integers(-11, 12, 40_000)
    exponents[::97] = rng.integers(-99, 100, len(exponents[::97]))
    signs = rng.choice([" 0", "-0" if zero else " -"], 40_000)
    words = [f"{s}.{m:011d}E{e:+03d}" for s, m, e in zip(signs, mantissas.tolist(), exponents.tolist(), strict=True)]
    expected = np.array([float(word) for word in words])
    np.testing.assert_array_equal(decoded(words, 11).view(np.uint64), expected.view(np.uint64))


@pytest.mark.parametrize(("per_line", "lines"), [(5, 1000), (6, 4097), (1, 70), (10, 333), (30, 40)])
@pytest.mark.parametrize("threads", [1, 3])
def test_lines_of_numbers_as_vasp_prints_them(
    per_line: int, lines: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines with a line break; in one of them a number that takes another way."""
    monkeypatch.setattr(compiled, "threads", lambda: threads)
    rng = np.random.default_rng(per_line)
    signs, exponents = rng.choice([" 0", " -"], per_line * lines), rng.integers(-11, 12, per_line * lines)
    exponents[len(exponents) // 2] = 37
    mantissas = rng.integers(0, 10**11, per_line * lines).tolist()
    words = [f"{s}.{m:011d}E{e:+03d}" for s, m, e in zip(signs, mantissas, exponents.tolist(), strict=True)]
    printed = ("".join(words[i : i + per_line]) + "\n" for i in range(0, len(words), per_line))
    text = np.frombuffer(b"\0" * PADDING + "".join(printed).encode(), dtype=np.uint8)
    columns, length = Columns(18, 2, 11, b"E", per_line, b"\n", False), 18 * per_line + 1
    values = np.empty(len(words))
    decoder = Decoder(columns, len(words))
    decoder.decode(text, PADDING, (lines, 1, per_line), (length, length, 18), values)
    assert values.tolist() == [float(word) for word in words]


def test_one_wrong_character_in_a_number_of_vasp_is_noticed() -> None:
    """Every character of a field replaced by every other printable one; what is no number of Fortran's is refused."""
    regular = [" 0.12345678901E-03"] * 128
    for place in range(18):
        for code in range(32, 127):
            word = regular[70][:place] + chr(code) + regular[70][place + 1 :]
            try:
                expected = parse_number(word.encode())
                if lost_point(word.encode()):
                    raise ValueError
            except ValueError:
                with pytest.raises(ValueError, match="'"):
                    decoded([*regular[:70], word, *regular[71:]], 11)
                continue
            assert decoded([*regular[:70], word, *regular[71:]], 11)[70] == expected


def test_exact_middles_go_to_the_even_neighbour() -> None:
    """1000·u with u odd, between 2⁵⁶ and 2⁵⁷, lies in the middle of two doubles, which are 16 apart there."""
    odd = np.random.default_rng(0).integers(2**56 // 1000, 10**14, 500) | 1
    words = [f" {str(u)[0]}.{str(u)[1:]}E+16" for u in odd.tolist()]
    found = decoded(words, 13)
    for u, value in zip(odd.tolist(), found.tolist(), strict=True):
        assert abs(int(value) - 1000 * u) == 8
        assert int(value) // 16 % 2 == 0


def test_few_fields_are_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the slow way would do the work: none within 10^±22, a few in a thousand beyond."""
    left = []
    decode = compiled.decode_columns
    monkeypatch.setattr(
        "charge3net.io.numbers.columns.decode_columns", lambda *given: left.append(decode(*given)) or left[-1]
    )
    decoded(fields(11, 50_000, 1, -11, 11), 11)
    decoded(fields(11, 50_000, 2), 11)
    assert left[0] == 0
    assert 0 < left[1] < 50_000 * 0.005


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65, 4095, 4097, 20_001])
@pytest.mark.parametrize("threads", [1, 3])
def test_ends_of_batches_and_pieces(count: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "threads", lambda: threads)
    words = fields(11, count, count)
    assert decoded(words, 11).tolist() == [float(word) for word in words]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (8, 8, 8), (17, 9, 23), (40, 33, 26)])
@pytest.mark.parametrize("threads", [1, 2])
def test_planes_are_turned(shape: tuple[int, int, int], threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "threads", lambda: threads)
    nx, ny, nz = shape
    planes = np.random.default_rng(0).normal(size=(nz, ny, nx))
    out = np.full(shape, np.nan)
    handle = library().handle
    assert handle is not None
    split = nz // 3
    compiled.turn_planes(handle, planes[:split], 7.3, out, 0)
    compiled.turn_planes(handle, planes[split:], 7.3, out, split)
    np.testing.assert_array_equal(out, planes.T / 7.3)


def test_real_files_are_read_alike_without_kernels(shared: Path) -> None:
    for name in ("CHGCAR.Si2", "CHGCAR.LiCoO2_spin.gz"):
        fast = read_density(shared / "real" / name)
        with torch_only():
            slow = read_density(shared / "real" / name)
        np.testing.assert_array_equal(fast.values, slow.values)
        assert fast.augmentation == slow.augmentation


def test_real_file_is_pythons(shared: Path) -> None:
    from charge3net.io.files import open_source

    path = shared / "real" / "CHGCAR.Si2"
    lines = path.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if i > 8 and len(line.split()) == 3 and "." not in line)
    count = int(np.prod([int(n) for n in lines[start].split()]))
    with open_source(path) as source:
        for _ in range(start + 1):
            source.line()
        found = np.empty(count)
        ValueReader(source, count, "it").fill(found)
    words = " ".join(lines[start + 1 : start + 1 + count // 5 + 1]).split()[:count]
    assert found.tolist() == [float(word) for word in words]
