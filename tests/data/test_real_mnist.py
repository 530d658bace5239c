"""The real MNIST: what it holds, and what the plain network reaches on it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from analog_fhn.data import load
from analog_fhn.training.plain import train_plain

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("split", "counts"),
    # Images of each class, as tabulated by every description of the data set.
    [
        ("train", [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("test", [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ],
)
def test_mnist_is_read(split: str, counts: list[int]) -> None:
    mnist = load("mnist", split)
    assert "SHA-256 matches MNIST" in mnist.source
    assert mnist.images.shape == (sum(counts), 784)
    np.testing.assert_array_equal(np.bincount(mnist.labels), counts)
    assert (mnist.images.min(), mnist.images.max()) == (0.0, 1.0)
    # Mean and standard deviation that the literature normalises MNIST's training images with: 0.1307, 0.3081.
    if split == "train":
        assert mnist.images.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
        assert mnist.images.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)


def test_plain_network_reaches_the_accuracy_of_its_kind() -> None:
    train, test = (load("mnist", split) for split in ("train", "test"))
    trained = train_plain(train)
    scores = expit(test.images @ trained.weights[0]) @ trained.weights[1]
    # Seeds 0 to 3 gave 97.83, 97.78, 97.82 and 97.73 %; 97.5 % is what the design asks for.
    assert np.mean(scores.argmax(axis=1) == test.labels) >= 0.975
    assert trained.history["accuracy"][-1] >= 0.99
