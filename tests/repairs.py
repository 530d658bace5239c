"""What the tests of the repair share: a network that reads digits, bad technologies, benches."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.finetune import LabelledImages

N_HIDDEN = 24


@cache
def digits_network(bias: bool = False) -> Network:
    """Reads nine of ten digits; without biases: random features, logistic regression behind them."""
    train = load("digits", "train")
    if bias:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            made = MLPClassifier(
                (N_HIDDEN,), activation="logistic", alpha=0.01, max_iter=60, learning_rate_init=0.01, random_state=0
            ).fit(train.images, train.labels)
        return Network.of_weights(tuple(made.coefs_), tuple(made.intercepts_))
    first = np.random.default_rng(0).normal(scale=0.5, size=(64, N_HIDDEN))
    hidden = 1.0 / (1.0 + np.exp(-train.images.astype(float) @ first))
    second = LogisticRegression(C=0.3, fit_intercept=False, max_iter=2000).fit(hidden, train.labels)
    return Network.of_weights((first, second.coef_.T))


@cache
def deep_network() -> Network:
    """Reads digits with two hidden layers: 64-16-12-10."""
    train = load("digits", "train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        trained = MLPClassifier(
            (16, 12), activation="logistic", alpha=0.01, max_iter=150, learning_rate_init=0.01, random_state=0
        ).fit(train.images, train.labels)
    return Network.of_weights(trained.coefs_, trained.intercepts_)


def technology(**values: Any) -> Technology:
    """Keys with two underscores for the point."""
    return Technology.load("discrete").with_values({name.replace("__", "."): v for name, v in values.items()})


BAD = {"array__programming_error": 0.2, "array__stuck_on": 0.01, "array__stuck_off": 0.01, "resistor__tolerance": 0.14}


def bench(seed: int | None = 1, network: Network | None = None, **values: Any) -> SimulatedBench:
    return SimulatedBench(Design(network or digits_network(), technology(**values)), seed)


@cache
def images(split: Any, number: int | None = None) -> LabelledImages:
    loaded = load("digits", split)
    loaded = loaded if number is None else loaded.head(number)
    return LabelledImages(loaded.images, loaded.labels)
