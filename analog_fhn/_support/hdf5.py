"""HDF5 files, read in a process of their own: a damaged one can make the HDF5 library loop, crash or fill the memory.

The process gives what a weight file is made of: groups, numbers and a few texts, and nothing that leads out of it.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.bfloat16 import from_bfloat16
from analog_fhn._support.extras import extra
from analog_fhn._support.json_text import read_object
from analog_fhn._support.limits import LIMIT
from analog_fhn.errors import InputError

H5PY = "HDF5 files, which Keras writes, need h5py"
"""What is said where h5py is not installed."""

_SECONDS = 5  # of computing; a file of a few MiB takes 0.2
_SECONDS_PER_BYTE = 2e-8
_MEMORY = 2**30  # besides four times the file
_OBJECTS = 20_000
_DEEPEST = 12
_TEXTS = ("model_config", "layer_names", "weight_names", "dtype")
_SKIPPED = ("optimizer", "optimizer_weights")

_START = (
    "import json, sys; path = json.loads(sys.argv[1]); sys.path[:] = path + [p for p in sys.path if p not in path]; "
    "from analog_fhn._support.hdf5 import _serve; _serve(*map(int, sys.argv[2:]))"
)


@dataclass(frozen=True, eq=False)
class Group:
    """A group of an HDF5 file.

    Parameters
    ----------
    name
        Path of the group within the file.
    texts
        Attributes that are text, or lists of it; those of Keras's files only.
    members
        Groups and arrays in the group by their names; a text says why a member cannot be read.
    """

    name: str
    texts: dict[str, str | list[str]] = field(default_factory=dict)
    members: dict[str, Group | NDArray[Any] | str] = field(default_factory=dict)


def read_hdf5(file: BinaryIO, path: Path) -> Group:
    """Content of an HDF5 file; what an optimizer keeps in it is left out.

    Parameters
    ----------
    file
        The open file, with a file descriptor.
    path
        Name of the file in messages.

    Raises
    ------
    InputError
        If it is damaged, does not end, or needs too much memory.
    MissingProgramError
        If h5py is not installed.
    """
    with extra("import", H5PY):
        import h5py  # noqa: F401  # asked for here: that the process below lacks it would look like a damaged file
    size = os.fstat(file.fileno()).st_size
    seconds = _SECONDS + math.ceil(_SECONDS_PER_BYTE * size)
    package = str(Path(__file__).resolve().parents[2])
    limits = [str(number) for number in (seconds, _MEMORY + 4 * size, LIMIT)]
    too_long = InputError(
        f"{path}: is damaged or made to stop its readers: not read after {seconds} s; save or copy it again"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-S", "-c", _START, json.dumps([package, *sys.path]), *limits],
            stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=3 * seconds, check=False,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise too_long from None
    if done.returncode == -signal.SIGXCPU:
        raise too_long
    if done.returncode:
        raise InputError(
            f"{path}: is damaged (the HDF5 library ended with status {done.returncode}); save or copy it again"
        )
    head, _, content = done.stdout.partition(b"\n")
    answer = read_object(head, str(path))
    if "problem" in answer:
        raise InputError(f"{path}: is damaged or too large ({answer['problem']}); save or copy it again")
    return _group("/", answer, memoryview(content))


def _group(name: str, entry: dict[str, Any], content: memoryview) -> Group:
    members: dict[str, Group | NDArray[Any] | str] = {}
    for key, member in entry["members"].items():
        if isinstance(member, str):
            members[key] = member
        elif "members" in member:
            members[key] = _group(f"{name.rstrip('/')}/{key}", member, content)
        else:
            members[key] = np.ndarray(member["shape"], member["dtype"], content, member["start"])
    return Group(name, entry["texts"], members)


def _serve(seconds: int, memory: int, most: int) -> None:
    """Read the file on standard input and write its content to standard output; this is what the process runs."""
    import h5py

    _limit(seconds, memory)
    arrays: list[NDArray[Any]] = []
    try:
        with h5py.File(sys.stdin.buffer, "r") as file:
            answer = _Walk(h5py, arrays, most).group(file, 0)
    except (Exception, MemoryError) as error:
        arrays, answer = [], {"problem": " ".join(str(error).split())[:200] or type(error).__name__}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(array.data)


def _limit(seconds: int, memory: int) -> None:
    """Limit this process to seconds of computing and bytes of memory, without a core dump."""
    for kind, most in (
        (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0),
    ):  # fmt: skip
        _, hard = resource.getrlimit(kind)
        # macOS lets no process limit its memory; the processor time is limited there too
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


class _Walk:
    """One walk through a file, which counts its objects and bytes; arrays are appended to `arrays`."""

    def __init__(self, h5py: Any, arrays: list[NDArray[Any]], most: int) -> None:
        self._h5py, self._arrays, self._most = h5py, arrays, most
        self._objects = self._bytes = 0

    def group(self, group: Any, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name in group:
            self._objects += 1
            if self._objects > _OBJECTS or depth > _DEEPEST:
                raise ValueError(f"more than {_OBJECTS} objects, or {_DEEPEST} levels of groups")
            if depth or name not in _SKIPPED:
                members[name] = self._member(group, name, depth)
        return {"texts": self._texts(group.attrs), "members": members}

    def _member(self, group: Any, name: str, depth: int) -> dict[str, Any] | str:
        # Asked of the link itself: looking at what it leads to could open another file.
        link = group.id.links.get_info(name.encode(errors="surrogateescape"))
        if link.type != self._h5py.h5l.TYPE_HARD:
            return "is a link to somewhere else; expected the values themselves"
        member = group[name]
        if isinstance(member, self._h5py.Group):
            return self.group(member, depth + 1)
        if not isinstance(member, self._h5py.Dataset) or member.shape is None:
            return "holds no values; expected an array"
        return self._values(member)

    def _values(self, data: Any) -> dict[str, Any] | str:
        if data.external or data.is_virtual:
            return "keeps its values in another file; expected them in this one"
        if data.id.get_create_plist().get_nfilters():
            return "is packed, which Keras does not do; expected plain values"
        dtype = data.dtype
        half = dtype == np.dtype("V2") and self._texts(data.attrs).get("dtype") == "bfloat16"
        if dtype.kind not in "fiub" and not half:
            return f"has type {dtype}: expected float16, bfloat16, float32 or float64"
        size = data.size * dtype.itemsize
        if data.id.get_storage_size() < size or size > self._most - self._bytes:
            return f"claims {size} bytes, more than it holds or than the {self._most} that are read"
        values = np.ascontiguousarray(data[()])
        if half:
            values = from_bfloat16(values.view(np.uint16))
        start = self._bytes
        self._bytes += values.nbytes
        self._arrays.append(values)
        return {"dtype": values.dtype.str, "shape": data.shape, "start": start}

    def _texts(self, attributes: Any) -> dict[str, str | list[str]]:
        texts: dict[str, str | list[str]] = {}
        for name in _TEXTS:
            if name in attributes:
                value = attributes[name]
                if isinstance(value, str | bytes):
                    texts[name] = _text(value)
                elif isinstance(value, np.ndarray) and value.ndim == 1:
                    texts[name] = [_text(part) for part in value]
        return texts


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
