"""Groups and numbers of an HDF5 file, with a message for each that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from analog_fhn._support.hdf5 import Group, read_hdf5
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.trained import as_float64


class Hdf5:
    """An HDF5 file from which only plain numbers and Keras's texts are read.

    Parameters
    ----------
    file
        The open file, with a file descriptor.
    path
        Name of the file in messages.

    Raises
    ------
    InputError
        As `read_hdf5`.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.root = read_hdf5(file, path)
        self.path = path

    def group(self, parent: Group, *names: str) -> Group:
        """Group that the names lead to, each within the one before, from `parent` on.

        Raises
        ------
        InputError
            If it is missing, a link, or no group.
        """
        for name in names:
            member = self._member(parent, name)
            if not isinstance(member, Group):
                raise InputError(f"{self._where(parent, name)} holds values; expected a group")
            parent = member
        return parent

    def numbers(self, parent: Group, name: str) -> FloatArray:
        """Values of an array as float64.

        Raises
        ------
        InputError
            If it is missing, a link, no array of floats, or its values are not plainly in the file.
        """
        member = self._member(parent, name)
        if not isinstance(member, np.ndarray):
            raise InputError(f"{self._where(parent, name)} holds no values; expected an array")
        return as_float64(member, f"{parent.name.rstrip('/')}/{name}", self.path)

    def text(self, group: Group, name: str) -> str:
        """Attribute that is one text.

        Raises
        ------
        InputError
            If it is missing or something else.
        """
        value = group.texts.get(name)
        if not isinstance(value, str):
            raise InputError(f"{self.path}: {group.name} has no text as attribute {name!r}; save the file again")
        return value

    def texts(self, group: Group, name: str) -> list[str]:
        """Attribute that is a list of texts; errors as for `text`."""
        value = group.texts.get(name)
        if not isinstance(value, list):
            raise InputError(f"{self.path}: {group.name} has no texts as attribute {name!r}; save the file again")
        return value

    def _member(self, parent: Group, name: str) -> object:
        """Group or array in a group; one that is missing or cannot be read is an `InputError`."""
        member = parent.members.get(name)
        if member is None:
            raise InputError(f"{self._where(parent, name)} is missing")
        if isinstance(member, str):
            raise InputError(f"{self._where(parent, name)} {member}")
        return member

    def _where(self, parent: Group, name: str) -> str:
        return f"{self.path}: {parent.name.rstrip('/')}/{name}"
