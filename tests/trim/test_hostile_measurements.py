"""Measurements of a chip in damaged files, CSV and `.npz`."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path

import numpy as np
from hostile import EXAMPLES, check, damaged, hostile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.measurements import KEYS, load_measurements

N_HIDDEN, N_CLASSES = 4, 2
DRIVES = np.linspace(-0.5, 0.5, 5)
RESPONSES = np.repeat(-1.0 - DRIVES[:, None], N_HIDDEN, axis=1)
LABELS = np.arange(12) % N_CLASSES
HIDDEN = np.where((LABELS == 1)[:, None], 0.9, 0.1) + 0.05 * np.sin(np.arange(48.0)).reshape(12, 4)


@cache
def design() -> Design:
    weights = np.tile([[1.0, -1.0]], (N_HIDDEN, 1))
    return Design(Network.of_weights((np.ones((3, N_HIDDEN)), weights)), Technology.load("discrete"))


def load(path: Path) -> None:
    load_measurements(path, design())


def table(separator: str = ",", decimal: str = ".") -> bytes:
    rows = [("neuron", "drive", "response")] + [
        (str(j), f"{drive:.6f}", f"{-1.0 - drive:.6f}") for j in range(N_HIDDEN) for drive in DRIVES
    ]
    return "".join(separator.join(row).replace(".", decimal) + "\n" for row in rows).encode()


def archive(**values: np.ndarray) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # two names up to their NUL alike, names of fields in UTF-8
        np.savez(file, **values)
    return file.getvalue()


CSV = [table(), table(";", ","), table("\t"), b"# a bench\r\n" + table(";"), table().decode().encode("utf-16")]
NPZ = [
    archive(drives=DRIVES, responses=RESPONSES),
    archive(drives=DRIVES, responses=RESPONSES, hidden=HIDDEN, labels=LABELS, scores=HIDDEN @ np.ones((4, 2))),
]


@settings(hostile, max_examples=max(EXAMPLES // 2, 1))
@given(content=damaged(CSV))
def test_hostile_damaged_csv_measurements(content: bytes) -> None:
    check("trim.test_hostile_measurements:load", "bench.csv", content)


@settings(hostile, max_examples=max(EXAMPLES // 2, 1))
@given(content=damaged(NPZ))
def test_hostile_damaged_npz_measurements(content: bytes) -> None:
    check("trim.test_hostile_measurements:load", "bench.npz", content)


VALUES = st.one_of(
    st.sampled_from([DRIVES, RESPONSES, HIDDEN, LABELS, 1e300 * RESPONSES, RESPONSES.astype("f2"), np.array(1.0)]),
    arrays.arrays(
        st.one_of(
            arrays.floating_dtypes(), arrays.integer_dtypes(), arrays.boolean_dtypes(), arrays.complex_number_dtypes(),
            arrays.datetime64_dtypes(), arrays.byte_string_dtypes(), arrays.unicode_string_dtypes(),
            arrays.array_dtypes(arrays.floating_dtypes()),
        ),
        st.one_of(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5), st.just((5, N_HIDDEN))),
    ),
)  # fmt: skip


@settings(hostile, max_examples=max(EXAMPLES // 2, 1))
@given(values=st.dictionaries(st.one_of(st.sampled_from(KEYS), st.text("ab\0é/", min_size=1, max_size=3)), VALUES))
def test_hostile_arrays_of_measurements(values: dict[str, np.ndarray]) -> None:
    whole = {"drives": DRIVES, "responses": RESPONSES} | {k: v for k, v in values.items() if k != "file"}
    check("trim.test_hostile_measurements:load", "bench.npz", archive(**whole))
