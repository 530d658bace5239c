"""The 8 x 8 digits that come with scikit-learn, in a fixed split."""

from __future__ import annotations

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn.data.dataset import Dataset, Split

DIGITS_TEST = 500
"""Images of the digits that are kept for testing; the other 1 297 are for training."""

_DIGITS_SEED = 0


def load_digits_split(split: Split) -> Dataset:
    """Give 1 297 images to train with or 500 to test with, each class in its share; pixels are divided by 16."""
    with extra("data", "the digits need scikit-learn"):
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
