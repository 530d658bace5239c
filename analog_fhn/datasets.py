"""Labelled images to train and classify with: MNIST (IDX files), scikit-learn's digits, the user's own arrays.

Whatever the file, the answer is a `Dataset`; whatever is wrong with the file, the answer is an `InputError`
that names it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import http.client
import math
import os
import tempfile
import urllib.request
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError
from analog_fhn.npz import open_npz
from analog_fhn.resources import cache_folder
from analog_fhn.shares import fair_order, missing_classes, unfair

Split = Literal["train", "test"]

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

MAX_LABEL = 65_535
"""Largest class number accepted; more is an identifier in the wrong place rather than a class."""

DIGITS_TEST = 500
"""Images of the digits that are kept for testing; the other 1 297 are for training."""

HOLDOUT = 5
"""Of a file without splits, one of so many images of each class is held out for testing."""

_DIGITS_SEED = 0
_IDX_FILES: dict[str, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_IDX_DTYPES = {
    0x08: "unsigned byte",
    0x09: "signed byte",
    0x0B: "16-bit integer",
    0x0C: "32-bit integer",
    0x0D: "32-bit float",
    0x0E: "64-bit float",
}
_DOWNLOAD_TIMEOUT_S = 30.0


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images of one split.

    Parameters
    ----------
    name
        ``"mnist"``, ``"digits"`` or the name of the user's file.
    images
        Pixel values, float32, shape (n, n_in); within `scale`, which is 0..1 for MNIST and the digits.
    labels
        Class of each image, int64, shape (n,), from 0 to ``n_classes - 1``.
    n_classes
        Number of classes.
    scale
        Smallest and largest pixel value of the data set, in the units of `images`.
    source
        Where the images came from, in words.
    held_out
        Places in the file, counted from 0, of the images that `load` held out for testing, shape (n_held_out,); None:
        it held out none.
    places
        Places in the split, counted from 0, of images that `stratified` drew, shape (n,); None: the images are the
        split, or its first ones.
    whole
        Labels of the images that `head` took these from, int64, shape (n_whole,); None: these are all.

    Raises
    ------
    InputError
        If shapes, types or counts do not fit together, a pixel is not finite or a label is out of range.
    """

    name: str
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    n_classes: int
    scale: tuple[float, float]
    source: str
    held_out: NDArray[np.intp] | None = None
    places: NDArray[np.intp] | None = None
    whole: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != np.float32 or self.labels.dtype != np.int64:
            raise InputError(
                f"{self.source}: images are {self.images.dtype} and labels {self.labels.dtype}; "
                "expected float32 and int64"
            )
        if self.images.ndim != 2 or self.images.size == 0:
            raise InputError(f"{self.source}: images have shape {self.images.shape}; expected (n, n_in), not empty")
        if self.labels.shape != self.images.shape[:1]:
            raise InputError(
                f"{self.source}: {len(self.images)} images but labels of shape {self.labels.shape}; "
                "expected one label per image"
            )
        if not (np.isfinite(self.images.min()) and np.isfinite(self.images.max())):
            raise InputError(f"{self.source}: some pixels are NaN or infinite; expected finite values")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= self.n_classes:
            raise InputError(
                f"{self.source}: labels run from {low} to {high}; expected 0 to {self.n_classes - 1} "
                f"for {self.n_classes} classes"
            )

    def head(self, n: int) -> Dataset:
        """Give the first `n` images, as views of the same arrays.

        Raises
        ------
        InputError
            If `n` is not between 1 and the number of images.
        """
        if not 1 <= n <= len(self.images):
            raise InputError(
                f"{n} images asked for, but {self.name} holds {len(self.images)}; expected 1 to {len(self.images)}"
            )
        places = None if self.places is None else self.places[:n]
        whole = self.labels if self.whole is None else self.whole
        return replace(self, images=self.images[:n], labels=self.labels[:n], places=places, whole=whole)

    @property
    def unfair(self) -> str:
        """What is wrong with the shares of the classes among images that `head` took; "": nothing."""
        return "" if self.whole is None else unfair(self.labels, self.whole)

    @property
    def missing(self) -> list[int]:
        """Classes that none of the images is of."""
        return missing_classes(self.labels, self.n_classes)

    def stratified(self, seed: int) -> Dataset:
        """The images in an order in which the first n, for every n, hold each class in its share, to about one image.

        Parameters
        ----------
        seed
            Of the draw, which images of a class come first; the same seed gives the same order.

        Raises
        ------
        InputError
            If `seed` is below 0.
        """
        _check_seed(seed)
        order = fair_order(self.labels, seed)
        return replace(self._take(order), places=order if self.places is None else self.places[order])

    def balanced(self, per_class: int, seed: int) -> Dataset:
        """Draw equally many images of each class, without replacement, in random order.

        Parameters
        ----------
        per_class
            Images of each class.
        seed
            Of the draw; the same seed gives the same images.

        Raises
        ------
        InputError
            If `per_class` is below 1, or a class has fewer images.
        """
        if per_class < 1:
            raise InputError(f"{per_class} images per class asked for; expected at least 1")
        counts = np.bincount(self.labels, minlength=self.n_classes)
        fewest = int(counts.argmin())
        if counts[fewest] < per_class:
            raise InputError(
                f"{per_class} images per class asked for, but {self.name} holds {counts[fewest]} of class {fewest}; "
                f"expected 1 to {counts[fewest]}"
            )
        generator = _generator(seed)
        chosen = [
            generator.choice(np.flatnonzero(self.labels == k), per_class, replace=False) for k in range(self.n_classes)
        ]
        return replace(self._take(generator.permutation(np.concatenate(chosen))), whole=None)

    def split(self, n: int, seed: int) -> tuple[Dataset, Dataset]:
        """Hold out `n` images drawn at random; both parts keep the order of the whole.

        Parameters
        ----------
        n
            Images held out.
        seed
            Of the draw; the same seed gives the same images.

        Returns
        -------
        rest, held_out

        Raises
        ------
        InputError
            If `n` does not leave an image on both sides.
        """
        if not 1 <= n < len(self.images):
            raise InputError(
                f"{n} images to hold out, but {self.name} holds {len(self.images)}; expected 1 to "
                f"{len(self.images) - 1}"
            )
        out = np.zeros(len(self.images), dtype=bool)
        out[_generator(seed).choice(len(self.images), n, replace=False)] = True
        return self._take(~out), self._take(out)

    def _take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Dataset:
        places = None if self.places is None else self.places[index]
        return replace(self, images=self.images[index], labels=self.labels[index], places=places)


def load(dataset: str, split: Split, data: Path | None = None, *, holdout: bool = False) -> Dataset:
    """Load one split of a data set.

    Parameters
    ----------
    dataset
        - ``"mnist"``: IDX files under MNIST's names (``train-images-idx3-ubyte`` and so on), plain or gzipped.
          Files of the same names with other contents, such as Fashion-MNIST, are accepted; `Dataset.source`
          says whether the SHA-256 is MNIST's. Bytes are divided by 255.
        - ``"digits"``: the 8 x 8 digits that come with scikit-learn, divided by 16, with a fixed stratified
          split into 1 297 and 500.
        - a path ending in ``.npz``: arrays ``train_images``, ``train_labels``, ``test_images``,
          ``test_labels``; or ``images`` and ``labels``, which are then the split that is asked for. Images are
          (n, n_in) or (n, height, width). Values are kept; the number of classes (largest label + 1) and the
          scale are those of all splits in the file.
        - a path ending in ``.csv``: comma-separated, one image per line, the label first; a header is optional
          and its first column must be called ``label``. The whole file is the split that is asked for.
    split
        ``"train"`` or ``"test"``.
    data
        For ``"mnist"``: the folder with the files, or one whose subfolder ``mnist`` holds them. If None, the
        environment variable ``ANALOG_FHN_DATA``; if that is not set either, the user's cache
        (``$XDG_CACHE_HOME`` or ``~/.cache``, ``analog-fhn/mnist``), filled by a checked download.
        Other data sets do not use it.
    holdout
        Part a file without splits in two: the test split is every fifth image of each class, in the order of the file,
        and the training split is the others. For whoever trains and judges; False: the whole file is either split.

    Raises
    ------
    InputError
        If the data cannot be had: a missing, truncated, malformed or inconsistent file, or a failed download; with
        `holdout` also for a file without splits whose classes all have less than five images.
    """
    if split not in get_args(Split):
        raise InputError(f"split {split!r}: expected 'train' or 'test'")
    if dataset == "mnist":
        return _mnist(split, data)
    if dataset == "digits":
        return _digits(split)
    path = Path(dataset)
    readers = {".npz": _npz, ".csv": _csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"dataset {dataset!r}: expected mnist, digits, or the path of a .npz or .csv file")
    return reader(path, split, holdout)


def check_alike(training: Dataset, test: Dataset) -> None:
    """Raise InputError unless the test images have as many pixels as the training images, and no further classes."""
    n_in, found = training.images.shape[1], test.images.shape[1]
    if found != n_in:
        raise InputError(f"{test.source}: images have {found} values; expected {n_in}, as in {training.source}")
    if test.labels.max() >= training.n_classes:
        raise InputError(
            f"{test.source}: label {test.labels.max()}; expected 0 to {training.n_classes - 1}, for "
            f"{training.source} has {training.n_classes} classes"
        )


# --- MNIST and other data sets in IDX files -------------------------------------------------------------------


def _mnist(split: Split, data: Path | None) -> Dataset:
    folder = _idx_folder(split, data)
    contents = []
    for name in _IDX_FILES[split]:
        if folder is None:
            path, raw = _cached(name)
        else:
            path = _idx_path(folder, name)
            raw = _unzipped(path, _read_bytes(path))
        contents.append((path, raw, hashlib.sha256(raw).hexdigest() == MNIST_SHA256[name]))
    (images_path, images_raw, images_known), (labels_path, labels_raw, labels_known) = contents
    pixels = _idx_array(images_path, images_raw, 3)
    labels = _idx_array(labels_path, labels_raw, 1).astype(np.int64)
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
            found = "is not a folder" if base.exists() else "does not exist"
            raise InputError(
                f"{base} ({given_by}) {found}; expected a folder with {' and '.join(_IDX_FILES[split])}, plain or .gz"
            )
        for folder in (base, base / "mnist"):
            if any(_idx_candidates(folder, name) for name in _IDX_FILES[split]):
                return folder
    except OSError as error:
        raise InputError(f"{base} ({given_by}): cannot be read: {_reason(error)}") from error
    raise InputError(
        f"{base} ({given_by}): neither it nor its subfolder mnist holds {' or '.join(_IDX_FILES[split])}, "
        "plain or .gz; put the files there or give another folder"
    )


def _idx_candidates(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]


def _idx_path(folder: Path, name: str) -> Path:
    found = _idx_candidates(folder, name)
    if not found:
        raise InputError(f"{folder}: {name} is missing (neither plain nor .gz); put it beside the other file")
    return found[0]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error


def _unzipped(path: Path, raw: bytes) -> bytes:
    # Browsers and other programs pack and unpack without renaming, so the contents decide, not the name.
    if raw[:2] != b"\x1f\x8b":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: damaged gzip file ({_reason(error)}); expected a whole one: copy or download it again"
        ) from error


def _idx_array(path: Path, raw: bytes, ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file: two zero bytes, type code, number of dimensions, big-endian 32-bit sizes, data."""
    header = 4 + 4 * ndim
    expected = f"00 00 08 {ndim:02x} (unsigned bytes in {ndim} dimension{'s' if ndim > 1 else ''})"
    if len(raw) < 4:
        raise InputError(f"{path}: {len(raw)} bytes are too short for an IDX file; download it again")
    if raw[:2] != b"\0\0":
        raise InputError(f"{path}: bad magic number {raw[:4].hex(' ')}, expected {expected}: this is not an IDX file")
    if raw[2] != 0x08:
        found = _IDX_DTYPES.get(raw[2], "unknown to IDX")
        raise InputError(f"{path}: data type code 0x{raw[2]:02x} ({found}), expected 0x08 (unsigned byte)")
    if raw[3] != ndim:
        raise InputError(
            f"{path}: bad magic number {raw[:4].hex(' ')}, expected {expected}: are images and labels swapped?"
        )
    if len(raw) < header:
        raise InputError(f"{path}: {len(raw)} bytes are too short for the header of {header} bytes; download it again")
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, header, 4))
    size = header + math.prod(shape)
    if len(raw) != size:
        what = "truncated" if len(raw) < size else "too long"
        raise InputError(
            f"{path}: {what}: {len(raw)} bytes, but the header ({' x '.join(map(str, shape))}) expects {size}; "
            "copy or download it again"
        )
    if size == header:
        raise InputError(f"{path}: empty: sizes {' x '.join(map(str, shape))}; expected at least one of each")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def _cached(name: str) -> tuple[Path, bytes]:
    """Read a file of MNIST from the cache; one that is absent or damaged there is downloaded."""
    try:
        folder = cache_folder("mnist")
        for path in _idx_candidates(folder, name):
            try:
                raw = _unzipped(path, _read_bytes(path))
            except InputError:
                continue
            if hashlib.sha256(raw).hexdigest() == MNIST_SHA256[name]:
                return path, raw
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"the user's cache cannot be read: {_reason(error)}; "
            "give a folder with the MNIST files (--data, ANALOG_FHN_DATA) or set XDG_CACHE_HOME"
        ) from error
    packed, raw = _download(name)
    path = folder / f"{name}.gz"
    try:
        _write_atomically(path, packed)
    except OSError as error:
        raise InputError(
            f"{path}: the downloaded file cannot be written: {_reason(error)}; set XDG_CACHE_HOME to a writable folder"
        ) from error
    return path, raw


def _download(name: str) -> tuple[bytes, bytes]:
    """Fetch a gzipped file from the first mirror that has it whole; give it packed and unpacked."""
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_S) as response:
                packed: bytes = response.read()
            raw = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error, http.client.HTTPException, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
            continue
        found = hashlib.sha256(raw).hexdigest()
        if found == MNIST_SHA256[name]:
            return packed, raw
        failures.append(f"{url}: SHA-256 {found}, expected {MNIST_SHA256[name]}")
    raise InputError(
        f"MNIST file {name} could not be downloaded ({'; '.join(failures)}); put the four MNIST files into a "
        "folder and name it with --data or ANALOG_FHN_DATA"
    )


def _write_atomically(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# --- scikit-learn's digits ------------------------------------------------------------------------------------


def _digits(split: Split) -> Dataset:
    import sklearn
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = np.asarray(bunch.target, dtype=np.int64)
    n = len(labels)
    # The raw stream of a bit generator never changes between versions of NumPy; its permutations may.
    shuffled = np.argsort(np.random.PCG64(_DIGITS_SEED).random_raw(n), kind="stable")
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    test = np.zeros(n, dtype=bool)
    # Evenly spaced places in a list sorted by class: every class gives its share, to within one image.
    test[by_class[((np.arange(DIGITS_TEST) + 0.5) * n / DIGITS_TEST).astype(np.intp)]] = True
    chosen = test if split == "test" else ~test
    return Dataset(
        name="digits",
        images=(np.asarray(bunch.data)[chosen] / 16.0).astype(np.float32),
        labels=labels[chosen],
        n_classes=10,
        scale=(0.0, 1.0),
        source=f"load_digits of scikit-learn {sklearn.__version__}, {split} split",
    )


# --- the user's own arrays ------------------------------------------------------------------------------------


def _npz(path: Path, split: Split, holdout: bool) -> Dataset:
    both = ("train_images", "train_labels", "test_images", "test_labels")
    whole = ("images", "labels")
    with open_npz(path, "images and labels") as file:
        names = list(file)
        wanted = both if set(both) <= set(names) else whole
        arrays = {name: file[name] for name in wanted if name in names}
    missing = [name for name in whole if name not in arrays] if len(arrays) < len(both) else []
    if missing:
        raise InputError(
            f"{path}: missing {' and '.join(missing)}; found {', '.join(sorted(names)) or 'no arrays'}; expected "
            f"{' and '.join(whole)}, or {', '.join(both[:-1])} and {both[-1]}"
        )
    images = {k: _as_images(v, f"{path}: {k}") for k, v in arrays.items() if k.endswith("images")}
    labels = {k: _as_labels(v, f"{path}: {k}") for k, v in arrays.items() if k.endswith("labels")}
    prefix = f"{split}_" if len(images) == 2 else ""
    widths = {k: v.shape[1] for k, v in images.items()}
    if len(set(widths.values())) > 1:
        found = " and ".join(f"{width} pixels in {k}" for k, width in widths.items())
        raise InputError(f"{path}: {found}; expected the same number in both splits")
    loaded = Dataset(
        name=path.name,
        images=images[f"{prefix}images"],
        labels=labels[f"{prefix}labels"],
        n_classes=max(int(v.max()) for v in labels.values()) + 1,
        scale=(float(min(v.min() for v in images.values())), float(max(v.max() for v in images.values()))),
        source=f"{path} ({prefix}images, {prefix}labels)",
    )
    return _part(loaded, split) if holdout and not prefix else loaded


def _csv(path: Path, split: Split, holdout: bool) -> Dataset:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            skip, first = 0, ""
            for first in file:
                if first.strip():
                    break
                skip += 1
            cells = next(csv.reader([first]), [])
            header = bool(cells) and not _is_number(cells[0])
            if header and cells[0].strip().lower() != "label":
                raise InputError(
                    f"{path}, line {skip + 1}: the first column is {cells[0]!r}; "
                    "expected a number or the heading 'label': put the label first, separate by commas"
                )
            if not cells or (header and not any(line.strip() for line in file)):
                raise InputError(f"{path}: holds no images; expected one per line, the label first")
            if len(cells) < 2:
                raise InputError(
                    f"{path}, line {skip + 1}: one column; expected the label and then the pixels, separated by commas"
                )
            file.seek(0)
            table: NDArray[np.float64] | None
            try:
                table = np.loadtxt(file, delimiter=",", quotechar='"', comments=None, skiprows=skip + header, ndmin=2)
                problem = ""
            except UnicodeDecodeError:
                raise
            except ValueError as error:
                table, problem = None, _reason(error)
        if table is None or table.shape[1] != len(cells) or not np.isfinite(table).all():
            # Reading fast does not say which line is at fault, so it is looked for only now.
            fault = _csv_fault(path, skip + 1 if header else 0, len(cells))
            raise InputError(fault or f"{path}: cannot be read as numbers: {problem}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8 ({_reason(error)}); save it as CSV") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({_reason(error)}); save it as CSV") from error
    images = _as_images(table[:, 1:], f"{path}: pixels")
    labels = _as_labels(table[:, 0], f"{path}: labels")
    loaded = Dataset(
        name=path.name,
        images=images,
        labels=labels,
        n_classes=int(labels.max()) + 1,
        scale=(float(images.min()), float(images.max())),
        source=str(path),
    )
    return _part(loaded, split) if holdout else loaded


def _part(whole: Dataset, split: Split) -> Dataset:
    """The images of a file without splits that are held out for testing, or the others."""
    by_class = np.argsort(whole.labels, kind="stable")
    labels = whole.labels[by_class]
    number = np.arange(len(labels)) - np.searchsorted(labels, labels)  # of an image in its class, from 0
    out = np.zeros(len(labels), dtype=bool)
    out[by_class[number % HOLDOUT == HOLDOUT - 1]] = True
    if not out.any():
        raise InputError(
            f"{whole.source}: no test images, and none can be held out of {number.max() + 1} images of a class; "
            f"expected at least {HOLDOUT}, or a .npz file with train_images, train_labels, test_images and test_labels"
        )
    part = whole._take(out if split == "test" else ~out)
    which = "every fifth image of each class" if split == "test" else "without every fifth image of each class"
    return replace(part, source=f"{whole.source}, {which}", held_out=np.flatnonzero(out))


def _csv_fault(path: Path, header_line: int, columns: int) -> str | None:
    """Find the first line that is not `columns` finite numbers and say what is wrong with it."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        for row in reader:
            if not row or reader.line_num == header_line:
                continue
            where = f"{path}, line {reader.line_num}"
            for column, cell in enumerate(row, start=1):
                if not _is_number(cell):
                    return f"{where}, column {column}: {cell[:40]!r} is not a number"
                if not math.isfinite(float(cell)):
                    return f"{where}, column {column}: {cell[:40]!r}; expected a finite number"
            if len(row) != columns:
                return f"{where}: {len(row)} columns; expected {columns} as in the first line"
    return None


def _is_number(cell: str) -> bool:
    # Python takes 1_000 and other scripts' digits for numbers; a CSV reader does not.
    if "_" in cell or not cell.isascii():
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _as_images(array: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Check numeric images (n, n_in) or (n, height, width) and give them as float32 (n, n_in)."""
    if array.dtype.kind not in "buif":
        raise InputError(f"{what}: type {array.dtype}; expected real numbers")
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(f"{what}: shape {array.shape}; expected (n, n_in) or (n, height, width), not empty")
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        bad = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise InputError(f"{what}: NaN or infinity in image {bad} (counted from 0); expected finite values")
    if max(-low, high) > float(np.finfo(np.float32).max):
        raise InputError(f"{what}: values from {low:g} to {high:g}; expected values that fit single precision")
    return np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32)


def _as_labels(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Check labels (n,): whole numbers from 0 to MAX_LABEL, of an integer or a floating type."""
    if array.dtype.kind not in "buif":
        raise InputError(f"{what}: type {array.dtype}; expected whole numbers")
    if array.ndim != 1 or array.size == 0:
        raise InputError(f"{what}: shape {array.shape}; expected (n,), one label per image, not empty")
    # Written so that NaN, too, is refused.
    wrong = ~((array >= 0) & (array <= MAX_LABEL))
    if array.dtype.kind == "f":
        wrong |= array != np.floor(array)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise InputError(
            f"{what}: {array[first]} in place {first} (counted from 0); expected whole numbers from 0 to {MAX_LABEL}"
        )
    return array.astype(np.int64)


def _generator(seed: int) -> np.random.Generator:
    _check_seed(seed)
    return np.random.default_rng(seed)


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InputError(f"seed = {seed}: expected a whole number from 0 on")


def _reason(error: BaseException) -> str:
    """Say what went wrong in one line, without a file name that the message has already."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
