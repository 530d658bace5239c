"""Images and labels in the user's own `.npz` and `.csv` files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.npz import open_npz
from analog_fhn._support.tables import excerpt, read_text_table
from analog_fhn.data import idx
from analog_fhn.data.dataset import Dataset, Split
from analog_fhn.errors import InputError

MAX_LABEL = 65_535
"""Largest class number accepted; more is an identifier in the wrong place rather than a class."""

MOST_CHANNELS = 4
"""Channels of an image beyond one that are told from lines and places by their number."""

HOLDOUT = 5
"""Of a file without splits, one of so many images of each class is held out for testing."""

_WHOLE = ("images", "labels")
_SPLITS = ("train_images", "train_labels", "test_images", "test_labels")
_NPZ_NAMES: tuple[tuple[str, ...], ...] = (_WHOLE, ("x", "y"), _SPLITS, ("x_train", "y_train", "x_test", "y_test"))


def read_npz_images(path: Path, split: Split, holdout: bool) -> Dataset:
    """Read one split of an `.npz` file; the arrays and the arguments are those of `data.load`.

    Raises
    ------
    InputError
        If the file cannot be read, names no arrays of images and labels, or their types, shapes or values do not fit.
    """
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
            last = pictures.shape[-1] == len(classes)
            raise InputError(
                f"{path}: {len(pictures)} images but labels of shape {classes.shape} ({names[f'{part}images']}, "
                f"{names[f'{part}labels']}); expected one label per image"
                + ("; if the images stand last, put them first: numpy.moveaxis(images, -1, 0)" if last else "")
            )
    images = {part: _as_images(arrays[f"{part}images"], f"{path}: {names[f'{part}images']}") for part in parts}
    labels = {part: _as_labels(arrays[f"{part}labels"], f"{path}: {names[f'{part}labels']}") for part in parts}
    widths = {names[f"{part}images"]: array.shape[1] for part, array in images.items()}
    if len(set(widths.values())) > 1:
        pixels = " and ".join(f"{width} pixels in {name}" for name, width in widths.items())
        raise InputError(f"{path}: {pixels}; expected the same number in both splits")
    part = f"{split}_" if len(parts) == 2 else ""
    loaded = Dataset(
        name=path.name,
        images=images[part],
        labels=labels[part],
        n_classes=max(_number_of_classes(arrays[f"{part}labels"], labels[part]) for part in parts),
        scale=(float(min(v.min() for v in images.values())), float(max(v.max() for v in images.values()))),
        source=f"{path} ({names[f'{part}images']}, {names[f'{part}labels']})",
        notes=_notes({names[f"{part}{role}"]: arrays[f"{part}{role}"] for role in _WHOLE}),
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


def read_csv_images(path: Path, split: Split, holdout: bool) -> Dataset:
    """Read one split of a text file with an image per line, the label first; the arguments are those of `data.load`.

    Raises
    ------
    InputError
        If the file cannot be read, a line is malformed, or labels or pixels are out of range.
    """
    table = _csv_numbers(path)
    images = _as_images(table[:, 1:], f"{path}: pixels")
    labels = _as_labels(table[:, 0], f"{path}: labels")
    same = len(labels) > 1 and labels.min() == labels.max()
    loaded = Dataset(
        name=path.name,
        images=images,
        labels=labels,
        n_classes=int(labels.max()) + 1,
        scale=(float(images.min()), float(images.max())),
        source=str(path),
        notes=(f"labels: the first column, which is {labels[0]} in every line",) if same else (),
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
    part = whole.take(out if split == "test" else ~out)
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
    numbers = table.array(lines)
    if numbers.shape[1] != len(cells):
        raise InputError(
            f"{path}, line {lines[0].number}: {numbers.shape[1]} columns; expected {len(cells)} as in the first line"
        )
    return numbers


def from_arrays(images: ArrayLike, labels: ArrayLike, name: str = "arrays") -> Dataset:
    """Labelled images in hand.

    Parameters
    ----------
    images, labels
        Arrays of the shapes that a `.npz` file may hold, see `analog_fhn.data.load`.
    name
        Name of the data set, with which messages begin.

    Raises
    ------
    InputError
        For arrays of other shapes or types, values that are not finite, or another number of labels than of images.
    """
    pixels, classes = np.asarray(images), np.asarray(labels)
    values, numbers = _as_images(pixels, f"{name}: images"), _as_labels(classes, f"{name}: labels")
    scale = float(values.min()), float(values.max())
    notes = _notes({"images": pixels, "labels": classes})
    return Dataset(name, values, numbers, _number_of_classes(classes, numbers), scale, name, notes=notes)


def _as_images(array: NDArray[Any], what: str) -> NDArray[np.float32]:
    """Check numeric images, and give them as float32 (n, n_in): line by line, place by place, channels last.

    Taken are (n, n_in), (n, height, width), (n, height, width, channels) and (n, channels, height, width).
    """
    if array.dtype.kind not in "buif":
        raise InputError(f"{what}: type {array.dtype}; expected real numbers")
    axis = _channels_axis(array.shape)
    if array.ndim not in (2, 3, 4) or array.size == 0 or (array.ndim == 4 and axis is None):
        raise InputError(
            f"{what}: shape {array.shape}; expected (n, n_in) or (n, height, width), not empty, or (n, height, width, "
            f"channels) or (n, channels, height, width), the channels being the only one up to {MOST_CHANNELS}; "
            "else flatten them, channels last: (n, height * width * channels)"
        )
    if axis == 1:
        array = np.moveaxis(array, 1, 3)
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = int(np.argwhere(~np.isfinite(array))[0, 0])
        raise InputError(f"{what}: NaN or infinity in image {bad} (counted from 0); expected finite values")
    with np.errstate(over="ignore"):
        images = np.ascontiguousarray(array.reshape(len(array), -1), dtype=np.float32)
    if not (np.isfinite(images.min()) and np.isfinite(images.max())):
        raise InputError(f"{what}: values from {low} to {high}; expected values that fit single precision")
    return images


def _channels_axis(shape: tuple[int, ...]) -> int | None:
    """Which axis of images with four axes is the channels, 1 or 3; None: there are others, or it cannot be told.

    One channel is told by its axis of length 1, which no other axis has; several by the only one of both axes that is
    short enough.
    """
    if len(shape) != 4:
        return None
    if 1 in (shape[1], shape[3]):
        return None if sorted(shape[1:])[1] == 1 else 1 if shape[1] == 1 else 3
    short = [axis for axis in (1, 3) if shape[axis] <= MOST_CHANNELS]
    return short[0] if len(short) == 1 else None


def _notes(arrays: dict[str, NDArray[Any]]) -> tuple[str, ...]:
    """Sentences about images and labels, by their names, in another layout than (n, n_in) of floats and (n,)."""
    (images, pixels), (labels, classes) = arrays.items()
    notes = []
    if pixels.ndim > 2:
        sizes = list(pixels.shape[1:])
        axis = _channels_axis(pixels.shape)
        channels = 1 if axis is None else sizes.pop(axis - 1)
        colours = "" if channels == 1 else f" in {channels} channels, which come last"
        notes.append(f"{images}: shape {pixels.shape} read as {sizes[0]} lines of {sizes[1]} values{colours}")
    if pixels.dtype.kind in "bui":
        notes.append(f"{images}: {pixels.dtype} from {pixels.min()} to {pixels.max()}, kept as they are, not scaled")
    if _one_hot(classes):
        notes.append(f"{labels}: one-hot rows of {classes.shape[1]} classes")
    elif classes.ndim == 2:
        notes.append(f"{labels}: shape {classes.shape} read as a column of class numbers")
    return tuple(notes)


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
