"""HDF5 groups and numbers, without what leads out of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.trained import LIMIT, as_float64, from_bfloat16


class Hdf5:
    """An HDF5 file from which only plain numbers are read.

    Soft and external links, external, virtual and filtered datasets, and values that were never stored are refused; of
    all datasets together no more than `LIMIT` bytes are read.

    Parameters
    ----------
    source
        The file's path or content.
    path
        The file's name in messages.
    """

    def __init__(self, source: Path | BinaryIO, path: Path) -> None:
        self.root = h5py.File(source, "r")
        self.path = path
        self._left = LIMIT

    def __enter__(self) -> Hdf5:
        return self

    def __exit__(self, *_: object) -> None:
        self.root.close()

    def names(self, group: Any) -> list[str]:
        """Names of a group's members."""
        return list(group)

    def has(self, group: Any, name: str) -> bool:
        """Whether the group has a member of that name."""
        return bool(group.id.links.exists(name.encode()))

    def group(self, parent: Any, *names: str) -> Any:
        """Group within groups.

        Raises
        ------
        InputError
            If it is missing, a link, or no group.
        """
        for name in names:
            parent = self._member(parent, name)
            if not isinstance(parent, h5py.Group):
                raise InputError(f"{self.path}: {parent.name} holds values; expected a group")
        return parent

    def numbers(self, parent: Any, name: str) -> FloatArray:
        """Values of a dataset as float64.

        Raises
        ------
        InputError
            If it is missing, a link, no dataset of floats, or its values are not plainly in the file.
        """
        data = self._member(parent, name)
        where = f"{self.path}: {data.name}"
        if not isinstance(data, h5py.Dataset) or data.shape is None:
            raise InputError(f"{where} holds no values; expected an array")
        if data.external or data.is_virtual:
            raise InputError(f"{where} keeps its values in another file; expected them in this one")
        if data.id.get_create_plist().get_nfilters():
            raise InputError(f"{where} is packed, which Keras does not do; expected plain values")
        size = data.size * data.dtype.itemsize
        if data.id.get_storage_size() < size or size > self._left:
            raise InputError(f"{where} claims {size} bytes, more than it holds or than the {LIMIT} that are read")
        self._left -= size
        if data.dtype == np.dtype("V2") and data.attrs.get("dtype") == "bfloat16":
            bits: NDArray[np.uint16] = data[()].view(np.uint16)
            return as_float64(from_bfloat16(bits), data.name, self.path)
        if data.dtype.kind != "f":
            as_float64(np.empty(0, data.dtype), data.name, self.path)
        return as_float64(np.asarray(data[()]), data.name, self.path)

    def _member(self, parent: Any, name: str) -> Any:
        where = f"{self.path}: {parent.name.rstrip('/')}/{name}"
        # Asked of the link itself: looking at what it leads to could open another file.
        if not self.has(parent, name):
            raise InputError(f"{where} is missing")
        if parent.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise InputError(f"{where} is a link to somewhere else; expected the values themselves")
        return parent[name]
