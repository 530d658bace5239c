"""The plain network: it learns, it is reproducible, and it says what it was made with."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from analog_fhn.data import Dataset, load
from analog_fhn.errors import InputError, MissingProgramError
from analog_fhn.training.plain import Trained, train_plain


def accuracy(trained: Trained, dataset: Dataset) -> float:
    """Forward pass written out in NumPy, in double precision."""
    activation = {"sigmoid": expit, "tanh": np.tanh}[str(trained.settings["hidden"])]
    values = dataset.images.astype(np.float64)
    for weights, biases, stage in zip(trained.weights, trained.biases, (activation, lambda z: z), strict=True):
        values = stage(values @ weights + (0.0 if biases is None else biases))
    return float(np.mean(values.argmax(axis=1) == dataset.labels))


@pytest.fixture(scope="module")
def train() -> Dataset:
    return load("digits", "train")


@pytest.fixture(scope="module")
def few(train: Dataset) -> Dataset:
    # Not a multiple of the batch: the last step is a smaller one.
    return train.head(100)


def test_learns_the_digits(train: Dataset) -> None:
    told: list[tuple[int, int, float, float]] = []
    trained = train_plain(train, epochs=15, progress=lambda *news: told.append(news))
    assert accuracy(trained, load("digits", "test")) > 0.9
    assert trained.biases == [None, None]
    assert [news[:2] for news in told] == [(epoch, 15) for epoch in range(1, 16)]
    assert [news[2] for news in told] == trained.history["loss"]
    assert [news[3] for news in told] == trained.history["accuracy"]
    # Of the moving weights, hence lower than that of the last ones, but not by much.
    assert trained.history["accuracy"][-1] == pytest.approx(accuracy(trained, train), abs=0.02)
    assert trained.history["loss"][-1] < trained.history["loss"][0]


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("bias", [False, True])
def test_shapes_and_settings(few: Dataset, hidden: str, bias: bool) -> None:
    trained = train_plain(few, n_hidden=7, hidden=hidden, bias=bias, epochs=2, seed=5)
    assert [w.shape for w in trained.weights] == [(64, 7), (7, 10)]
    assert {w.dtype for w in trained.weights} == {np.dtype(np.float64)}
    if bias:
        assert [b.shape for b in trained.biases] == [(7,), (10,)]
        assert all(np.any(b != 0) for b in trained.biases)
    else:
        assert trained.biases == [None, None]
    assert {len(values) for values in trained.history.values()} == {2}
    settings = json.loads(json.dumps(trained.settings))
    assert settings.items() >= {
        "n_hidden": 7, "hidden": hidden, "bias": bias, "epochs": 2, "batch_size": 32, "learning_rate": 3e-3,
        "schedule": "cosine",
        "seed": 5, "dataset": "digits", "n_images": 100,
    }.items()  # fmt: skip
    assert {"keras", "jax"} <= settings.keys()


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_biases_and_activation_are_where_they_are_said_to_be(train: Dataset, hidden: str) -> None:
    trained = train_plain(train, hidden=hidden, bias=True, epochs=15)
    assert accuracy(trained, train) > 0.9
    assert trained.history["accuracy"][-1] == pytest.approx(accuracy(trained, train), abs=0.02)


def test_first_steps_are_those_of_adam_from_a_glorot_start(few: Dataset) -> None:
    """One step on all images at once, against the gradient and Adam's rule written out in NumPy."""
    rate = 1e-3
    one, two = (train_plain(few, epochs=1, batch_size=100, learning_rate=rate * scale) for scale in (1.0, 2.0))
    # The same seed gives the same start and gradient, so twice the rate is twice the step.
    start = [2 * a - b for a, b in zip(one.weights, two.weights, strict=True)]
    for weights, (n_in, n_out) in zip(start, ((64, 100), (100, 10)), strict=True):
        limit = np.sqrt(6 / (n_in + n_out))
        assert np.abs(weights).max() <= limit + 1e-5
        assert weights.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)  # of a uniform distribution
    x = few.images.astype(np.float64)
    h = expit(x @ start[0])
    scores = h @ start[1]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    target = np.eye(10)[few.labels]
    assert one.history["loss"][0] == pytest.approx(-np.log(p[target == 1]).mean(), rel=1e-5)
    d_scores = (p - target) / len(x)
    gradient = [x.T @ (d_scores @ start[1].T * h * (1 - h)), h.T @ d_scores]
    for weights, before, slope in zip(one.weights, start, gradient, strict=True):
        clear = np.abs(slope) > 1e-5  # well above the rounding of single precision
        assert clear.mean() > 0.7
        # m = 0.1 g and v = 0.001 g^2, both corrected for their start from zero; epsilon is 1e-7.
        step = -rate * slope / (np.abs(slope) + 1e-7 / np.sqrt(0.001))
        np.testing.assert_allclose((weights - before)[clear], step[clear], rtol=5e-3)


def test_same_seed_same_weights_other_seed_other_weights(few: Dataset) -> None:
    first = train_plain(few, epochs=2, seed=1)
    random.random()
    again = train_plain(few, epochs=2, seed=1)
    other = train_plain(few, epochs=2, seed=2)
    for a, b, c in zip(first.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.any(a == c)
    assert first.history == again.history


def test_order_of_the_images_depends_on_the_seed_and_changes(few: Dataset) -> None:
    """With whole-set batches the order cannot matter; with single images it must."""
    backwards = replace(few, images=few.images[::-1].copy(), labels=few.labels[::-1].copy())
    for batch_size, tolerance in ((100, 1e-6), (1, None)):
        forth, back = (train_plain(d, epochs=1, batch_size=batch_size) for d in (few, backwards))
        difference = np.abs(forth.weights[1] - back.weights[1]).max()
        assert difference < tolerance if tolerance else difference > 1e-4


def test_global_random_states_are_left_alone(few: Dataset) -> None:
    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    train_plain(few, epochs=1)
    after = random.getstate(), np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1][1], after[1][1])
    assert before[1][2:] == after[1][2:]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"n_hidden": 0}, "n_hidden = 0: expected at least 1"),
        ({"epochs": 0}, "epochs = 0: expected at least 1"),
        ({"batch_size": -1}, "batch_size = -1: expected at least 1"),
        ({"hidden": "gelu"}, "training: hidden activation 'gelu' falls and rises again"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0: expected a finite number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"seed": -1}, "seed = -1: expected a whole number from 0 to 4294967295"),
        ({"seed": 2**32}, "seed = 4294967296"),
    ],
)
def test_settings_out_of_range_are_refused(few: Dataset, setting: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        train_plain(few, **setting)
    assert said in str(caught.value)


def test_labels_beyond_the_classes_are_refused(few: Dataset) -> None:
    with pytest.raises(InputError, match="labels run from 0 to 10; expected 0 to 9 for 10 classes"):
        train_plain(replace(few, labels=np.where(few.labels == 3, 10, few.labels)))


def test_a_single_class_is_refused(few: Dataset) -> None:
    with pytest.raises(InputError, match="1 class; expected at least two"):
        train_plain(replace(few, labels=np.zeros_like(few.labels), n_classes=1))


def test_images_of_a_single_value_are_refused_before_training(few: Dataset) -> None:
    flat = replace(few, images=np.full_like(few.images, 0.5), source="flat.npz")
    with pytest.raises(
        InputError, match=r"flat\.npz: all pixels of the 100 images are 0\.5; expected images that differ"
    ):
        train_plain(flat, progress=lambda *_: pytest.fail("trained"))


def test_divergence_is_refused(few: Dataset) -> None:
    with pytest.raises(InputError, match=r"diverged: loss nan in epoch 1; learning rate 1e\+38 is too large"):
        train_plain(few, epochs=2, learning_rate=1e38)


@pytest.mark.parametrize("absent", ["keras", "jax"])
def test_missing_package_says_how_to_install_it(few: Dataset, monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingProgramError) as caught:
        train_plain(few)
    assert absent in str(caught.value)
    assert 'pip install "analog-fhn[train]"' in str(caught.value)


def in_a_process_of_its_own(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_keras_imported_before_with_another_backend_is_refused() -> None:
    said = in_a_process_of_its_own(
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n"
        "import keras\n"
        "from analog_fhn.data import load\n"
        "from analog_fhn.errors import InputError\n"
        "from analog_fhn.training.plain import train_plain\n"
        "try:\n"
        "    train_plain(load('digits', 'train'))\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    assert "already imported with the backend 'numpy'; expected 'jax'" in said


def test_backend_is_jax_whatever_the_environment_says_and_nothing_is_imported_early() -> None:
    said = in_a_process_of_its_own(
        "import os, sys; os.environ['KERAS_BACKEND'] = 'numpy'\n"
        "from analog_fhn.training import plain\n"
        "print({'keras', 'jax', 'sklearn'} & set(sys.modules), plain.keras_on_jax().backend.backend())\n"
    )
    assert said == "set() jax"
