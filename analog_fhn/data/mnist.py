"""MNIST and data sets in files of the same names: in a folder of the user's, or downloaded into the user's cache."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn._support.hashing import sha256
from analog_fhn._support.limits import unpack_gzip
from analog_fhn._support.resources import cache_folder
from analog_fhn.data import idx
from analog_fhn.data.dataset import Dataset, Split
from analog_fhn.errors import InputError

MIRRORS: tuple[str, ...] = (
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
)
"""Where MNIST is fetched from, in this order, when no folder is given."""

MNIST_SHA256: dict[str, str] = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""SHA-256 of the uncompressed files of LeCun, Cortes and Burges, "The MNIST database of handwritten digits"."""

_IDX_FILES: dict[str, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def load_mnist(split: Split, data: Path | None) -> Dataset:
    """Read the images and labels of one split; pixels are divided by 255.

    Parameters
    ----------
    split
        The split, ``"train"`` or ``"test"``, chooses the two files.
    data
        The folder holds the files, or its subfolder ``mnist`` does. Where it is None, the environment variable
        ``ANALOG_FHN_DATA`` names the folder; where that is not set either, the files are those of the user's cache,
        and absent ones are downloaded.

    Raises
    ------
    InputError
        If a file is missing, malformed or cannot be downloaded, or the files hold different numbers of images.
    """
    folder = _idx_folder(split, data)
    contents, notes = [], []
    for name in _IDX_FILES[split]:
        path, raw = _cached(name) if folder is None else idx.read(folder, name)
        if path.name not in (name, f"{name}.gz"):
            notes.append(f"{path.name} read as {name}")
        contents.append((path, raw, sha256(raw) == MNIST_SHA256[name]))
    (images_path, images_raw, images_known), (labels_path, labels_raw, labels_known) = contents
    pixels = idx.array(images_path, images_raw, 3)
    labels = idx.array(labels_path, labels_raw, 1).astype(np.int64)
    if len(pixels) != len(labels):
        raise InputError(
            f"{images_path} holds {len(pixels)} images but {labels_path} holds {len(labels)} labels; "
            "expected one label per image: take both files from the same data set"
        )
    images = pixels.reshape(len(pixels), -1).astype(np.float32)
    images /= np.float32(255)
    match = "matches MNIST" if images_known and labels_known else "differs from MNIST"
    return Dataset(
        name="mnist",
        images=images,
        labels=labels,
        n_classes=max(10, int(labels.max()) + 1),
        scale=(0.0, 1.0),
        source=f"{images_path} and {labels_path.name} (SHA-256 {match})",
        notes=tuple(notes),
    )


def _idx_folder(split: Split, data: Path | None) -> Path | None:
    """Find the folder that the user gave, by argument or environment; None stands for the cache."""
    if data is not None:
        base, given_by = Path(data), "the data folder"
    elif os.environ.get("ANALOG_FHN_DATA"):
        base, given_by = Path(os.environ["ANALOG_FHN_DATA"]), "ANALOG_FHN_DATA"
    else:
        return None
    try:
        if not base.is_dir():
            fault = "is not a folder" if base.exists() else "does not exist"
            raise InputError(
                f"{base} ({given_by}) {fault}; expected a folder with {' and '.join(_IDX_FILES[split])}, plain or .gz"
            )
        for folder in (base, base / "mnist"):
            if any(idx.candidates(folder, name) for name in _IDX_FILES[split]):
                return folder
    except OSError as error:
        raise InputError(f"{base} ({given_by}): cannot be read: {_reason(error)}") from error
    raise InputError(
        f"{base} ({given_by}): neither it nor its subfolder mnist holds {' or '.join(_IDX_FILES[split])}, "
        "plain or .gz; put the files there or give another folder"
    )


def _cached(name: str) -> tuple[Path, bytes]:
    """Path and unpacked content of a file of MNIST in the cache; an absent or damaged one is downloaded."""
    remedy = "give a folder with the MNIST files, or set ANALOG_FHN_DATA to it or XDG_CACHE_HOME to a writable folder"
    try:
        folder = cache_folder("mnist")
        for path in idx.candidates(folder, name):
            with suppress(InputError):
                return path, _verified(idx.unpacked(path, path.read_bytes()), name)
    except (OSError, RuntimeError) as error:
        raise InputError(f"the user's cache cannot be read: {_reason(error)}; {remedy}") from error
    try:  # before the download
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the user's cache cannot be written: {_reason(error)}; {remedy}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: the user's cache cannot be written: Permission denied; {remedy}")
    return _downloaded(folder, name)


def _verified(raw: bytes, name: str) -> bytes:
    """Give back the unpacked content; InputError unless it is that of MNIST's file `name`."""
    if (digest := sha256(raw)) != MNIST_SHA256[name]:
        raise InputError(f"SHA-256 {digest}, expected {MNIST_SHA256[name]}")
    return raw


def _downloaded(folder: Path, name: str) -> tuple[Path, bytes]:
    """Path and unpacked content of a file, fetched into a folder from the first mirror that has it whole."""
    with extra("data", "downloading MNIST needs pooch"):
        import pooch
    pooch.get_logger().setLevel("WARNING")
    path = folder / f"{name}.gz"
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{path.name}"
        # The hash is that of the unpacked file, so that a mirror may pack it anew: it is compared here, not by pooch.
        path.unlink(missing_ok=True)
        try:
            pooch.retrieve(url, known_hash=None, fname=path.name, path=folder)
            return path, _verified(unpack_gzip(path.read_bytes(), path), name)
        except (OSError, ValueError) as error:  # of the connection, the disk or the content
            path.unlink(missing_ok=True)
            failures.append(f"{url}: {_reason(error)}")
    raise InputError(
        f"MNIST file {name} could not be downloaded ({'; '.join(failures)}); put the four MNIST files into a "
        "folder and give that folder, or set ANALOG_FHN_DATA to it"
    )


def _reason(error: BaseException) -> str:
    """Say what went wrong in one line, without a file name that the message has already."""
    if isinstance(error, OSError) and error.args:
        # requests puts the error of the connection, which says more, into its own
        error = getattr(error.args[0], "reason", error)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
