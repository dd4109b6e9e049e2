"""Numbers to text and back, many at a time, against Python's own formatting and parsing."""

from __future__ import annotations

import io

import numpy as np
import pytest

from charge3net.errors import InputError
from charge3net.io.files import Source
from charge3net.io.number_stream import ValueReader
from charge3net.io.numbers.columns import PADDING, Columns, Decoder
from charge3net.io.numbers.format import NumberFormat, write_numbers
from charge3net.io.numbers.fortran import parse_number
from tests.helpers.dft_files import fortran

VASP = NumberFormat(digits=11, width=18, zero_lead=True)
CUBE = NumberFormat(digits=6, width=13, zero_lead=False)


def hard_numbers() -> np.ndarray:
    """Ties, carries, powers of ten and their neighbours, zeros, all magnitudes and signs."""
    rng = np.random.default_rng(3)
    powers = np.array([float(f"1e{k}") for k in range(-97, 98)])
    ties = np.array([0.5, 1.5, 2.5, 1234567.5, 10000000000.5, 99999999999.5, 12345678901.5, 1.000005, 9.9999995])
    spread = rng.normal(size=5000) * 10.0 ** rng.integers(-90, 90, size=5000)
    short = np.round(rng.random(2000) * 1e4, 3)
    one_sided = np.concatenate(
        [[0.0, 0.99999999999999, 9.99999999999, 9.9999999999949], powers, np.nextafter(powers, 0),
         np.nextafter(powers, 1e99), ties, short, spread]
    )  # fmt: skip
    return np.concatenate([one_sided, -one_sided])


def printed(style: NumberFormat, numbers: np.ndarray, per_line: int = 5, row: int = 0) -> str:
    stream = io.BytesIO()
    write_numbers(stream, [numbers[:7], numbers[7:]], style, per_line, row)
    return stream.getvalue().decode()


def test_digits_are_pythons() -> None:
    numbers = hard_numbers()
    lines = printed(VASP, numbers).splitlines()
    assert "".join(lines) == "".join(fortran(x) for x in numbers)
    assert {len(line) for line in lines[:-1]} == {90}
    expected = "".join(f"{x:13.5E}" for x in np.where(numbers == 0, 0.0, numbers))
    assert "".join(printed(CUBE, numbers, 6).splitlines()) == expected


def test_too_small_numbers_become_zero_and_too_large_are_refused() -> None:
    assert printed(VASP, np.array([1e-99, -3e-120, 5e-324])) == " 0.00000000000E+00" * 3 + "\n"
    for bad in (np.nan, np.inf, -1e99):
        with pytest.raises(InputError, match="finite numbers below 1e99"):
            printed(VASP, np.array([1.0, bad]))


@pytest.mark.parametrize("row", [7, 12, 6, 3])
def test_rows_begin_new_lines(row: int) -> None:
    numbers = np.arange(3.0 * row)
    lines = printed(CUBE, numbers, 6, row).splitlines()
    expected = []
    for i in range(3):
        words = [f"{x:13.5E}" for x in numbers[i * row : (i + 1) * row]]
        expected += ["".join(words[j : j + 6]) for j in range(0, row, 6)]
    assert lines == expected
    source = Source(io.BytesIO("\n".join(expected).encode()), "x.cube")
    found = np.empty(len(numbers))
    ValueReader(source, len(numbers), "it", row).fill(found)
    assert found.tolist() == numbers.tolist()


@pytest.mark.parametrize("row", [0, 14])
@pytest.mark.parametrize("piece", [1, 7, 30, 1000])
def test_pieces_need_not_end_where_lines_do(row: int, piece: int) -> None:
    numbers = np.round(np.random.default_rng(0).normal(size=1400), 5)
    stream = io.BytesIO()
    write_numbers(stream, [numbers], CUBE, 6, row)
    stream.write(b"next line\n")
    source = Source(io.BytesIO(stream.getvalue()), "x.cube")
    reader, found = ValueReader(source, len(numbers), "it", row), np.empty(len(numbers))
    for start in range(0, len(numbers), piece):
        reader.fill(found[start : start + piece])
    assert found.tolist() == [float(f"{x:.5E}") for x in numbers]
    assert source.line() == b"next line\n"


@pytest.mark.parametrize(("style", "per_line"), [(VASP, 5), (CUBE, 6)])
def test_columns_give_pythons_value_to_the_last_bit(style: NumberFormat, per_line: int) -> None:
    text = printed(style, hard_numbers(), per_line)
    source = Source(io.BytesIO(text.encode()), "CHGCAR")
    count = len(hard_numbers())
    found = np.empty(count)
    ValueReader(source, count, "it").fill(found)
    assert found.tolist() == [float(word) for word in text.split()]


@pytest.mark.parametrize(
    "field",
    ["0.12345D+01", "0.1234567890E+01", " .12345678901E+02", "-.12345678901E+02", "0.12345678901e+02",
     "0.12345678901-101", "1.2345678901E+002", "-0.1234567890E-00", "   12.3456789012 ", "9.99999999999E+99",
     "0.00000000000E-99", "0.1234567890E+1 ", "0.12345678901E)02", "0.12345678901E/02", "0.1234567:901E+02",
     "0.12345 78901E+02", "0,12345678901E+02", "--12345678901E+02", "x.12345678901E+02", "0.12345678901E+0x"],
)  # fmt: skip
@pytest.mark.parametrize("lines", [3, 40])
def test_one_odd_field_is_read_as_python_reads_it_or_refused(field: str, lines: int) -> None:
    """Among regular columns, few and many; what is not quite a number must not be taken for one."""
    regular = " 0.10000000000E+01"
    line = (regular * 5 + "\n").encode()
    data = bytearray(line * lines)
    data[91 + 18 : 91 + 36] = field.rjust(18).encode()[-18:]
    columns = Columns.of(line)
    assert columns is not None
    text = np.frombuffer(b"\0" * PADDING + bytes(data), dtype=np.uint8)
    decoder, values = Decoder(columns, 5 * lines), np.empty(5 * lines)
    try:
        expected = parse_number(field.encode())
    except ValueError:
        with pytest.raises(ValueError, match="'"):
            decoder.decode(text, PADDING, (lines, 5), (91, 18), values)
        return
    decoder.decode(text, PADDING, (lines, 5), (91, 18), values)
    assert values.tolist() == [1.0] * 6 + [expected] + [1.0] * (5 * lines - 7)


def test_numbers_as_fortran_prints_them() -> None:
    assert parse_number(b" 0.5D+01 ") == 5.0
    assert parse_number(b"0.25-101") == 0.25e-101
    assert parse_number(b"-.25+101") == -0.25e101
    for bad in (b"****", b"", b"1.0.0", b"E+01"):
        with pytest.raises(ValueError, match="'"):
            parse_number(bad)


@pytest.mark.parametrize(
    "line", [b"", b"\n", b" 1 2 3\n", b" 0.1E+01 0.22E+01\n", b"0.1E+01 0.2E+01\n", b" 1.0 2.0\n", b"augmentation\n"]
)
def test_lines_without_equal_columns_are_left_to_the_slow_way(line: bytes) -> None:
    assert Columns.of(line) is None
