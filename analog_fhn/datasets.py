"""Labelled images to train and classify with: MNIST (IDX files), scikit-learn's digits, the user's own arrays.

Whatever the file, the answer is a `Dataset`; whatever is wrong with the file, the answer is an `InputError`
that names it.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn import idx
from analog_fhn._support.files import new_file
from analog_fhn._support.limits import unpack_gzip
from analog_fhn._support.npz import open_npz
from analog_fhn._support.resources import cache_folder
from analog_fhn._support.tables import excerpt, read_text_table
from analog_fhn.errors import InputError
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
_WHOLE = ("images", "labels")
_SPLITS = ("train_images", "train_labels", "test_images", "test_labels")
_NPZ_NAMES: tuple[tuple[str, ...], ...] = (_WHOLE, ("x", "y"), _SPLITS, ("x_train", "y_train", "x_test", "y_test"))
_IDX_FILES: dict[str, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_DOWNLOAD_TIMEOUT_S = 30.0
_DOWNLOAD_LIMIT = 2**26  # bytes, of which MNIST's largest file has 9.9 million


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
        - ``"mnist"``: IDX files under MNIST's names (``train-images-idx3-ubyte`` and so on), plain or gzipped; there
          may be a dot before ``idx``, and upper case. Files of the same names with other contents, such as
          Fashion-MNIST, are accepted; `Dataset.source` says whether the SHA-256 is MNIST's. Bytes are divided by 255.
        - ``"digits"``: the 8 x 8 digits that come with scikit-learn, divided by 16, with a fixed stratified
          split into 1 297 and 500.
        - a path ending in ``.npz``: arrays ``train_images``, ``train_labels``, ``test_images``, ``test_labels`` (or
          ``x_train``, ``y_train``, ``x_test``, ``y_test``); or ``images`` and ``labels`` (or ``x`` and ``y``), which
          are then the split that is asked for; in upper or lower case. Images are (n, n_in), (n, height, width),
          (n, height, width, 1) or (n, 1, height, width); labels are whole numbers, (n,) or (n, 1), or one-hot,
          (n, n_classes). Values are kept; the number of classes (largest label + 1, or one-hot columns) and the scale
          are those of all splits in the file.
        - a path ending in ``.csv``: one image per line, the label first, separated by commas, semicolons, tabs or
          blanks, with decimal points or commas; a header is optional and its first column must be called
          ``label``. The whole file is the split that is asked for.
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
        path, raw = _cached(name) if folder is None else idx.read(folder, name)
        contents.append((path, raw, hashlib.sha256(raw).hexdigest() == MNIST_SHA256[name]))
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
            if any(idx.candidates(folder, name) for name in _IDX_FILES[split]):
                return folder
    except OSError as error:
        raise InputError(f"{base} ({given_by}): cannot be read: {_reason(error)}") from error
    raise InputError(
        f"{base} ({given_by}): neither it nor its subfolder mnist holds {' or '.join(_IDX_FILES[split])}, "
        "plain or .gz; put the files there or give another folder"
    )


def _cached(name: str) -> tuple[Path, bytes]:
    """Read a file of MNIST from the cache; one that is absent or damaged there is downloaded."""
    remedy = "give a folder with the MNIST files (--data, ANALOG_FHN_DATA) or set XDG_CACHE_HOME to a writable folder"
    try:
        folder = cache_folder("mnist")
        for path in idx.candidates(folder, name):
            with suppress(InputError):
                raw = idx.unpacked(path, path.read_bytes())
                if hashlib.sha256(raw).hexdigest() == MNIST_SHA256[name]:
                    return path, raw
    except (OSError, RuntimeError) as error:
        raise InputError(f"the user's cache cannot be read: {_reason(error)}; {remedy}") from error
    path = folder / f"{name}.gz"
    try:  # before the download
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: the user's cache cannot be written: {_reason(error)}; {remedy}") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: the user's cache cannot be written: Permission denied; {remedy}")
    packed, raw = _download(name)
    with new_file(path) as file:
        file.write(packed)
    return path, raw


def _download(name: str) -> tuple[bytes, bytes]:
    """Fetch a gzipped file from the first mirror that has it whole; give it packed and unpacked."""
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=_DOWNLOAD_TIMEOUT_S) as response:
                packed: bytes = response.read(_DOWNLOAD_LIMIT)
                if response.length:  # what is still to come
                    raise http.client.IncompleteRead(packed, response.length)
            raw = unpack_gzip(packed, Path(f"{name}.gz"))
        except (OSError, http.client.HTTPException, ValueError) as error:
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
    with open_npz(path, "images and labels") as file:
        names = _npz_names(path, list(file))
        arrays = {role: file[name] for role, name in names.items()}
    most = idx.most_values(path.stat().st_size)
    if (values := sum(array.size for array in arrays.values())) > most:
        raise InputError(f"{path}: unpacks to {values} numbers; expected at most {most} in so small a file")
    parts = ("train_", "test_") if len(arrays) == 4 else ("",)
    for part in parts:
        pictures, classes = arrays[f"{part}images"], arrays[f"{part}labels"]
        if pictures.ndim > 1 and classes.ndim and len(pictures) != len(classes):
            raise InputError(
                f"{path}: {len(pictures)} images but labels of shape {classes.shape} ({names[f'{part}images']}, "
                f"{names[f'{part}labels']}); expected one label per image"
            )
    images = {part: _as_images(arrays[f"{part}images"], f"{path}: {names[f'{part}images']}") for part in parts}
    labels = {part: _as_labels(arrays[f"{part}labels"], f"{path}: {names[f'{part}labels']}") for part in parts}
    widths = {names[f"{part}images"]: array.shape[1] for part, array in images.items()}
    if len(set(widths.values())) > 1:
        found = " and ".join(f"{width} pixels in {name}" for name, width in widths.items())
        raise InputError(f"{path}: {found}; expected the same number in both splits")
    part = f"{split}_" if len(parts) == 2 else ""
    loaded = Dataset(
        name=path.name,
        images=images[part],
        labels=labels[part],
        n_classes=max(_number_of_classes(arrays[f"{part}labels"], labels[part]) for part in parts),
        scale=(float(min(v.min() for v in images.values())), float(max(v.max() for v in images.values()))),
        source=f"{path} ({names[f'{part}images']}, {names[f'{part}labels']})",
    )
    return _part(loaded, split) if holdout and not part else loaded


def _npz_names(path: Path, names: list[str]) -> dict[str, str]:
    """Names in a file of the arrays ``images`` and ``labels``, or of those of both splits.

    Raises
    ------
    InputError
        If there are none, or more than one array for the same.
    """
    spelled: dict[str, list[str]] = {}
    for name in names:
        spelled.setdefault(name.lower(), []).append(name)
    complete = [style for style in _NPZ_NAMES if set(style) <= set(spelled)]
    if not complete:
        nearest = max(reversed(_NPZ_NAMES), key=lambda style: len(set(style) & set(spelled)))
        missing = [name for name in nearest if name not in spelled]
        raise InputError(
            f"{path}: missing {_and(missing)}; found {_listed(names) or 'no arrays'}; expected images and labels, or "
            "train_images, train_labels, test_images and test_labels (or x and y, x_train, y_train, x_test and y_test)"
        )
    matches = [name for style in complete for key in style for name in spelled[key]]
    if len(matches) > len(complete[0]):
        raise InputError(f"{path}: holds {_and(matches)}: which are meant? Expected {_and(complete[0])} alone")
    return dict(zip(_WHOLE if len(matches) == 2 else _SPLITS, matches, strict=True))


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _csv(path: Path, split: Split, holdout: bool) -> Dataset:
    table = _csv_numbers(path)
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


def _csv_numbers(path: Path) -> NDArray[np.float64]:
    """Labels and pixels of a CSV file, shape (n, 1 + n_in)."""
    table = read_text_table(path, "images, one per line, the label first")
    lines, layout = table.without_comments(), table.layout
    cells = table.cells(lines[0]) if lines else []
    if cells and not layout.is_number(cells[0]):
        if cells[0].strip().lower() != "label":
            raise InputError(
                f"{path}, line {lines[0].number}: the first column is {excerpt(cells[0])}; expected a number or the "
                "heading 'label': put the label first"
            )
        lines = lines[1:]
    if not lines:
        raise InputError(f"{path}: holds no images; expected one per line, the label first")
    if len(cells) < 2 or layout.pairs:
        what = "the comma is both separator and decimal mark" if layout.pairs else "one column"
        raise InputError(
            f"{path}, line {lines[0].number}: {what}; expected the label and then the pixels, separated by commas, "
            "semicolons or tabs"
        )
    found = table.array(lines)
    if found.shape[1] != len(cells):
        raise InputError(
            f"{path}, line {lines[0].number}: {found.shape[1]} columns; expected {len(cells)} as in the first line"
        )
    return found


def _as_images(array: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Check numeric images, one channel of them, and give them as float32 (n, n_in), row by row.

    Taken are (n, n_in), (n, height, width), (n, height, width, 1) and (n, 1, height, width).
    """
    if array.dtype.kind not in "buif":
        raise InputError(f"{what}: type {array.dtype}; expected real numbers")
    if array.ndim == 4 and sorted(array.shape[1:])[1] > 1:  # one axis is the channel, if it is one
        array = array.squeeze(tuple(axis for axis in (1, 3) if array.shape[axis] == 1))
    if array.ndim not in (2, 3) or array.size == 0:
        raise InputError(
            f"{what}: shape {array.shape}; expected (n, n_in) or (n, height, width), with one channel, not empty"
        )
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise InputError(f"{what}: NaN or infinity in image {bad} (counted from 0); expected finite values")
    with np.errstate(over="ignore"):
        images = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32)
    if not (np.isfinite(images.min()) and np.isfinite(images.max())):
        raise InputError(f"{what}: values from {low} to {high}; expected values that fit single precision")
    return images


def _as_labels(array: NDArray[Any], what: str) -> NDArray[np.int64]:
    """Check labels, whole numbers from 0 to MAX_LABEL of any real type, and give them as (n,).

    Taken are (n,), (n, 1), and (n, n_classes) with a single 1 among zeros in each row (one-hot).
    """
    if array.dtype.kind not in "buif":
        raise InputError(f"{what}: type {array.dtype}; expected whole numbers")
    if array.ndim not in (1, 2) or array.size == 0:
        raise InputError(
            f"{what}: shape {array.shape}; expected (n,), one label per image, or one-hot rows (n, n_classes), "
            "not empty"
        )
    if _one_hot(array):
        ones = array == 1
        wrong = (ones.sum(axis=1) != 1) | ~(ones | (array == 0)).all(axis=1)
        if wrong.any():
            raise InputError(
                f"{what}: shape {array.shape}, but row {int(wrong.argmax())} (counted from 0) is not one 1 among "
                "zeros; expected (n,), one label per image, or one-hot rows"
            )
        classes: NDArray[np.int64] = ones.argmax(axis=1).astype(np.int64)
        return classes
    array = array.ravel()
    if array.dtype == np.float16:  # which does not hold the largest label
        array = array.astype(np.float32)
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


def _one_hot(labels: NDArray[Any]) -> bool:
    return labels.ndim == 2 and labels.shape[1] > 1


def _number_of_classes(array: NDArray[Any], labels: NDArray[np.int64]) -> int:
    """Classes that labels are of: the columns of one-hot rows, else up to the largest label."""
    return array.shape[1] if _one_hot(array) else int(labels.max()) + 1


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
