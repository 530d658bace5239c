"""Readers of data sets as commands use them, each of one file; for the tests of damaged and hostile files."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest

from analog_fhn.data import Dataset, load
from analog_fhn.errors import InputError

NAMES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def together(images: bytes, labels: bytes) -> bytes:
    """Two IDX files as one, for `idx`."""
    return len(images).to_bytes(4, "big") + images + labels


def idx(path: Path) -> Dataset:
    """Read the two IDX files that `together` joined."""
    content = path.read_bytes()
    end = 4 + int.from_bytes(content[:4], "big")
    with tempfile.TemporaryDirectory() as folder:
        for name, part in zip(NAMES, (content[4:end], content[end:]), strict=True):
            Path(folder, name).write_bytes(part)
        return used(load("mnist", "test", Path(folder)))


def file(path: Path) -> Dataset:
    """Read a file of the user's, whole and split."""
    whole = used(load(str(path), "test"))
    with contextlib.suppress(InputError):  # too few images of each class to hold one out
        used(load(str(path), "train", holdout=True))
    return whole


def used(loaded: Dataset) -> Dataset:
    """The data set, after what commands ask it for."""
    first = loaded.head(max(1, len(loaded.labels) // 2))
    assert isinstance(first.unfair, str)
    assert len(first.missing) < loaded.n_classes
    assert sorted(loaded.stratified(0).labels) == sorted(loaded.labels)
    return loaded


def refusal(dataset: str | Path, *, data: Path | None = None, split: str = "test") -> str:
    """The message, on one line, with which a data set is refused."""
    with pytest.raises(InputError) as caught:
        load(str(dataset), split, data)
    message = str(caught.value)
    assert "\n" not in message
    return message
