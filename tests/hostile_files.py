"""Files that are whole but hold what no program wrote: hostile JSON, arrays, headers and names."""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from hostile import damaged
from hypothesis import strategies as st


def _strange_values() -> list[Any]:
    """What stands in the place of a value; new ones each time, since they are changed in their turn."""
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]
    return [
        None, True, False, 0, 1, -1, 3, 2**31, 2**63, 10**30, 10**400, 0.0, 0.5, -2.5, 1e308, -1e308, 1e-320, 1e9,
        float("nan"), float("inf"), "", "x", "1", "1e-2", "sigmoid", "relu", "\0", "\ud800", "\x1b[2J", "../../x",
        "9" * 400, "n" * 100_000, [], {}, [[]], [1, 2], ["a"], {"a": 1}, [None, None], deep, [0.0, 1.0], [1.0, 0.0],
        [-1e308, 1e308], list(range(1000)), {"type": "fhn"}, [{"type": "fhn"}], [{"type": ["fhn"]}],
    ]  # fmt: skip


NAMES = [
    "", "x", "meta", "w0", "w1", "w2", "b0", "b1", "0.weight", "2.weight", "input.weight", "hidden.weight", "weight",
    "output.weight", "0.bias", "arr_0", "arr_1", "dense/kernel", "dense/bias", "hidden", "bn.running_mean",
    "bn.num_batches_tracked", "w" + "9" * 5000, "\0", "\x1b[2J", "a" * 10_000, "../w0", "w0.npy", "w٣", "ä.weight",
]  # fmt: skip
"""What stands in the place of a name."""


def values() -> st.SearchStrategy[Any]:
    """A strange value, or a number."""
    strange = st.integers(0, len(_strange_values()) - 1).map(lambda k: _strange_values()[k])
    return strange | st.floats() | st.integers(-(10**25), 10**25)


@st.composite
def changed(draw: st.DrawFn, content: Any) -> Any:
    """JSON content in which none to three values or names were exchanged, left out or added; sometimes all of it."""
    if draw(st.integers(0, 30)) == 30:
        return draw(values())
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(0, 3))):
        places = list(_places(content))
        if not places:
            break
        parent, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["value", "value", "value", "leave out", "name"])):
            case "value":
                parent[key] = draw(values())
            case "leave out":
                del parent[key]
            case _ if isinstance(parent, dict):
                parent[draw(st.sampled_from(NAMES))] = parent.pop(key)
            case _:
                parent.append(parent[key])
    return content


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every value in dictionaries and lists, as its container and its key; not far into deep ones."""
    waiting = [(content, 0)]
    while waiting:
        container, depth = waiting.pop()
        inside = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in list(inside)[:50]:
            yield container, key
            if isinstance(value, dict | list) and depth < 8:
                waiting.append((value, depth + 1))


@st.composite
def arrays_changed(draw: st.DrawFn, arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays of which up to two were exchanged for others, renamed, left out or added."""
    arrays = dict(arrays)
    for _ in range(draw(st.integers(0, 2))):
        if not arrays:
            break
        name = draw(st.sampled_from(sorted(arrays)))
        match draw(st.sampled_from(["array", "array", "number", "leave out", "name", "add"])):
            case "array":
                arrays[name] = draw(array())
            case "number" if arrays[name].dtype.kind in "fiu" and arrays[name].size:
                flat = arrays[name].astype(np.float64).ravel()
                flat[draw(st.integers(0, flat.size - 1))] = draw(st.floats(allow_subnormal=True))
                arrays[name] = flat.reshape(arrays[name].shape)
            case "leave out":
                del arrays[name]
            case "name":
                arrays[draw(st.sampled_from(NAMES))] = arrays.pop(name)
            case _:
                arrays[draw(st.sampled_from(NAMES))] = draw(array())
    return arrays


@st.composite
def array(draw: st.DrawFn) -> Any:
    """An array of some type and shape."""
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 4, 8]), max_size=3)))
    kind = draw(st.sampled_from(["f8", "f4", "f2", "i8", "u1", "?", "c16", "U3", "S3", "M8[s]", "O", "f8", "f8"]))
    if kind == "O":
        return np.full(shape, None, dtype=object)
    if kind == "M8[s]":
        return np.zeros(shape, kind)
    with np.errstate(all="ignore"):
        return np.full(shape, draw(st.sampled_from([0.0, 1.0, -1.0, 1e30, np.nan, np.inf])), "f8").astype(
            kind, copy=False
        )


@st.composite
def npz(draw: st.DrawFn, arrays: dict[str, Any]) -> bytes:
    """An .npz file of the arrays; one header in four does not tell the truth, and some members are no arrays."""
    stream = io.BytesIO()
    method = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    lying = draw(st.integers(0, 3)) == 0
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, values_ in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(values_), allow_pickle=True)
            content = member.getvalue()
            if lying and draw(st.booleans()):
                content = draw(lie(content))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, method)
    return stream.getvalue()


@st.composite
def lie(draw: st.DrawFn, content: bytes) -> bytes:
    """An array's bytes under another header."""
    header = {
        "descr": draw(
            st.sampled_from(["<f8", "<f4", "|O", "<U1000000", "V99999999", "<U0", "|b1", ">i8", "x", "<M8[s]"])
        ),
        "fortran_order": draw(st.booleans()),
        "shape": tuple(draw(st.lists(st.sampled_from([0, 1, 2, 8, 10**9, 2**62, -1]), max_size=4))),
    }
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(member, header)
    match draw(st.sampled_from(["header", "header", "nothing", "bytes", "code"])):
        case "header":
            return member.getvalue() + content[128:]
        case "nothing":
            return b""
        case "bytes":
            return draw(damaged([content]))
        case _:
            text = b"-" * 900 + b"1\n"
            return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text
