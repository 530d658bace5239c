"""Training with FHN neurons in the forward pass: its gradients, that it learns, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_softmax

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.cell.base import Cells
from analog_fhn.data import Dataset, load
from analog_fhn.errors import InputError
from analog_fhn.inference import classify
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, FloatArray, Protocol

pytest.importorskip("jax")

from analog_fhn.training.paper import train_paper

TIMES = Protocol(settle=1.0, control=2.0, interval=0.5)


@pytest.fixture(scope="module")
def train() -> Dataset:
    return load("digits", "train")


@pytest.fixture(scope="module")
def few(train: Dataset) -> Dataset:
    return train.head(40)


def waveforms(drives: FloatArray, fhn: FHN) -> FloatArray:
    """x at the training times, (n_samples, n_images, n_neurons), by the compiled backend."""
    n = drives.shape[1]
    response = Direct().respond(Cells.ideal("tanh", fhn, n), drives, TIMES, samples=True)
    assert response.samples is not None
    return response.samples.astype(np.float64)


@pytest.mark.parametrize(
    ("tanh", "recentre", "hidden", "gradient", "gamma"),
    [
        ("drive", False, "tanh", "sigmoid", -1.0),
        ("drive", True, "sigmoid", "response", 0.8),
        ("input", True, "tanh", "sigmoid", -1.0),
        ("input", False, "tanh", "response", -1.0),
    ],
)
def test_one_step_follows_the_gradient_written_out(
    few: Dataset, tanh: Any, recentre: bool, hidden: Any, gradient: Any, gamma: float
) -> None:
    fhn = FHN(gamma=gamma, slope=0.9, a=1.05)
    options: dict[str, Any] = {
        "n_hidden": 6, "tanh": tanh, "recentre": recentre, "hidden": hidden, "gradient": gradient, "fhn": fhn,
        "times": TIMES, "epochs": 1, "batch_size": 40, "schedule": "constant",
    }  # fmt: skip
    w0, w1 = train_paper(few, learning_rate=1e-30, **options).weights  # where training starts
    after = train_paper(few, learning_rate=1e-3, **options).weights

    inputs = few.images.astype(np.float64)
    inputs = np.tanh(inputs) if tanh == "input" else inputs
    z = inputs @ w0
    drives = gamma * (z if tanh == "input" else np.tanh(0.9 * z))
    gain = 1.0 if not recentre else -1.0 / gamma if hidden == "tanh" else -0.5 / gamma
    offset = 0.0 if not recentre else -1.05 / gamma if hidden == "tanh" else 0.5 * (1.0 - 1.05 / gamma)
    units = expit(gain * waveforms(drives, fhn) + offset)
    scores = units @ w1
    truth = np.eye(10)[few.labels]
    error = (np.exp(log_softmax(scores, axis=2)) - truth) / len(scores) / len(truth)
    to_rows = (error @ w1.T) * units * (1.0 - units) * gain
    squashed = 1.0 / np.cosh(0.9 * z) ** 2
    # Of -2 gamma/(1 + exp(-2 slope z)), which is -gamma tanh(slope z) up to a constant, or of -(a + I).
    slope = -gamma * (np.ones_like(z) if (tanh, gradient) == ("input", "response") else 0.9 * squashed)
    expected = inputs.T @ (to_rows.sum(axis=0) * slope), np.einsum("tih,tik->hk", units, error)
    for before, moved, gradients in zip((w0, w1), after, expected, strict=True):
        # Adam's first step is nearly the sign of the gradient; near zero that is a matter of rounding.
        clear = np.abs(gradients) > 1e-2 * np.abs(gradients).max()
        assert clear.mean() > 0.5
        step = -1e-3 * gradients / (np.abs(gradients) + 1e-7 / np.sqrt(1.0 - 0.999))
        np.testing.assert_allclose((moved - before)[clear], step[clear], rtol=0.01)


@pytest.mark.parametrize(("tanh", "recentre"), [("drive", False), ("input", True)])
def test_learns_the_digits(train: Dataset, tanh: Any, recentre: bool) -> None:
    test = load("digits", "test")
    told: list[tuple[int, int, float, float]] = []
    trained = train_paper(
        train, n_hidden=40, tanh=tanh, recentre=recentre, times=TIMES, epochs=6, batch_size=20, learning_rate=0.03,
        protocol=Protocol(20.0, 20.0), validation=test, progress=lambda *news: told.append(news),
    )  # fmt: skip
    network = trained.network(train.scale)
    assert (network.tanh, network.behind, network.recentre, network.readout) == (tanh, "sigmoid", recentre, "vote")
    assert classify(network, test.images).accuracy(test.labels) > 0.85
    assert [news[:2] for news in told] == [(epoch, 6) for epoch in range(1, 7)]
    assert [news[2] for news in told] == trained.history["loss"]
    assert trained.history["loss"][-1] < trained.history["loss"][0]
    # The last epoch's validation is that of the final weights, at the times of training.
    again = classify(network.with_options(settle=1.0, control=2.0), test.images)
    assert trained.history["val_accuracy"][-1] == pytest.approx(again.accuracy(test.labels), abs=0.02)


def test_the_same_seed_gives_the_same_weights(few: Dataset) -> None:
    options: dict[str, Any] = {"n_hidden": 5, "times": TIMES, "epochs": 2, "batch_size": 20}
    one, same, other = (train_paper(few, seed=seed, **options) for seed in (1, 1, 2))
    for a, b, c in zip(one.weights, same.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_settings_and_network_survive_the_file(few: Dataset, tmp_path: Any) -> None:
    fhn = FHN(gamma=-0.7, slope=1.0, eps=0.02)
    trained = train_paper(few, n_hidden=3, fhn=fhn, times=TIMES, epochs=1, tanh="input")
    settings = trained.settings
    assert json.loads(json.dumps(settings)) == settings
    assert (settings["fhn"], settings["times"], settings["tanh"]) == (asdict(fhn), asdict(TIMES), "input")
    trained.network((0.0, 1.0)).save(tmp_path / "net.npz")
    loaded = Network.load(tmp_path / "net.npz")
    assert (loaded.fhn, loaded.tanh, loaded.behind) == (fhn, "input", "sigmoid")
    assert loaded.provenance == {"trained": settings}
    np.testing.assert_array_equal(loaded.weights[0], trained.weights[0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tanh": "output"}, "tanh = 'output': expected 'drive' or 'input'"),
        ({"gradient": "exact"}, "gradient = 'exact': expected 'sigmoid' or 'response'"),
        ({"epochs": 0}, "epochs = 0: expected at least 1"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
    ],
)
def test_impossible_settings_are_refused(few: Dataset, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        train_paper(few, **options)


def test_divergence_is_said(few: Dataset) -> None:
    with pytest.raises(InputError, match=r"training diverged: loss nan in epoch \d at gamma -4, learning rate 1e\+06"):
        train_paper(few, n_hidden=4, tanh="input", fhn=FHN(gamma=-4.0, slope=1.0), times=TIMES, learning_rate=1e6)
