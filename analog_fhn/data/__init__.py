"""Labelled images to train and classify with: MNIST (IDX files), scikit-learn's digits, the user's own arrays.

Whatever the file, the answer is a `Dataset`; whatever is wrong with the file, the answer is an `InputError`
that names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from analog_fhn.data.dataset import Dataset, Split
from analog_fhn.data.digits import load_digits_split
from analog_fhn.data.mnist import load_mnist
from analog_fhn.data.user_files import from_arrays, read_csv_images, read_npz_images
from analog_fhn.errors import InputError

__all__ = ["Dataset", "Split", "from_arrays", "load"]


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
          (n, height, width, channels) or (n, channels, height, width), which are flattened with the channels last;
          labels are whole numbers, (n,) or (n, 1), or one-hot, (n, n_classes). Values are kept, also bytes; the number
          of classes (largest label + 1, or one-hot columns) and the scale are those of all splits in the file.
          `Dataset.notes` says what was read otherwise than it lay there.
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
        return load_mnist(split, data)
    if dataset == "digits":
        return load_digits_split(split)
    path = Path(dataset)
    readers = {".npz": read_npz_images, ".csv": read_csv_images}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        found = "is a folder; " if path.is_dir() else ""
        remedy = '; numpy.savez("mine.npz", images=..., labels=...) makes one of pictures' if path.exists() else ""
        raise InputError(
            f"dataset {dataset!r}: {found}expected mnist, digits, or the path of a .npz or .csv file{remedy}"
        )
    return reader(path, split, holdout)
