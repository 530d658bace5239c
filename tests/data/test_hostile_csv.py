"""Data sets in damaged CSV files and in any dialect: what is accepted is what was written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hostile import EXAMPLES, check, damaged, hostile
from hypothesis import given, settings
from hypothesis import strategies as st

from analog_fhn.data import Dataset, load
from analog_fhn.errors import InputError

ROWS = [[k % 3, 0.5 * k, -k, 255, 1e-3 * k] for k in range(9)]


def written(separator: str, decimal: str = ".", head: str = "label,p0,p1,p2,p3\n") -> bytes:
    text = "\n".join(separator.join(f"{x:g}".replace(".", decimal) for x in row) for row in ROWS)
    return (head.replace(",", separator) + text + "\n").encode()


FILES = [
    written(","), written(";", ","), written("\t", head=""), written(" "), written(",", ",", ""),
    written(",").decode().encode("utf-16"), b"\xef\xbb\xbf# made today\r\n" + written(";").replace(b"\n", b"\r\n"),
    b'"label","p0"\n"1","0,5"\n"0","1,5"\n',
]  # fmt: skip


def read(path: Path) -> Dataset:
    return load(str(path), "train")


@settings(hostile, max_examples=max(EXAMPLES // 2, 1))
@given(content=damaged(FILES))
def test_hostile_damaged_csv_data_sets(content: bytes) -> None:
    check("data.test_hostile_csv:read", "mine.csv", content)


@st.composite
def data_sets(draw: st.DrawFn) -> tuple[bytes, np.ndarray]:
    """A file in any dialect, and the labels and pixels in it."""
    n, width = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    labels = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    digits = draw(st.sampled_from([0, 1, 3]))
    pixels = [[round(draw(st.floats(-300, 300)), digits) + 0.0 for _ in range(width)] for _ in range(n)]
    separator, decimal = draw(st.sampled_from([",", ",", ";", "\t", " "])), draw(st.sampled_from([".", ","]))
    quote = draw(st.sampled_from(["", "", '"'])) if separator != " " else ""
    rows = [
        [str(label), *(f"{x:.{digits}f}".replace(".", decimal) for x in row)]
        for label, row in zip(labels, pixels, strict=True)
    ]
    twice = separator == decimal == "," and not quote  # without names nobody can tell such a file
    if twice or draw(st.booleans()):
        rows.insert(0, ["label", *(f"p{k}" for k in range(width))])
    lines = [separator.join(f"{quote}{cell}{quote}" for cell in row) for row in rows]
    lines = [*draw(st.sampled_from([[], ["# a comment"], [""]])), *lines, *draw(st.sampled_from([[], [""]]))]
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    return text.encode(encoding), np.array([[label, *row] for label, row in zip(labels, pixels, strict=True)])


@settings(hostile, max_examples=max(EXAMPLES // 2, 1))
@given(made=data_sets())
def test_hostile_csv_dialects_are_read_right_or_refused(made: tuple[bytes, np.ndarray]) -> None:
    content, table = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.csv")
        path.write_bytes(content)
        try:
            found = read(path)
        except InputError:
            return
    np.testing.assert_array_equal(found.labels, table[:, 0])
    np.testing.assert_allclose(found.images, table[:, 1:], rtol=1e-6)
