"""Fitted classifiers of scikit-learn, in memory or from a file: multilayer perceptrons, with a scaler in front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.chain import Chain
from analog_fhn.weights.trained import TrainedWeights, as_float64

_UNITS = {"logistic": "sigmoid", "identity": "linear"}  # others have their own names
_EXPECTED = "expected a fitted MLPClassifier, or a Pipeline of StandardScaler or MinMaxScaler and an MLPClassifier"
_MOST_CLASSES = 100  # that a note lists


@dataclass(frozen=True)
class Estimator:
    """A fitted estimator.

    Parameters
    ----------
    kind
        Name of its class.
    module
        Name of the module that the class is of.
    attribute
        Gives an attribute by its name, or raises a LookupError or an AttributeError; steps of a pipeline are pairs of
        a name and an `Estimator`, or what stands for a step that does nothing.
    """

    kind: str
    module: str
    attribute: Callable[[str], Any]

    def of(self, name: str, path: Path) -> Any:
        """An attribute, which a fitted estimator has.

        Raises
        ------
        InputError
            If it is missing.
        """
        try:
            return self.attribute(name)
        except (LookupError, AttributeError):
            raise InputError(f"{path}: {self.kind} without {name}; expected a fitted one") from None

    def numbers(self, name: str, path: Path, size: int | None = None) -> FloatArray:
        """An attribute that is an array of floats, with one axis of this `size` if it is given.

        Raises
        ------
        InputError
            If it is none.
        """
        value = np.asarray(self.of(name, path))
        if size is not None and value.shape != (size,):
            raise InputError(f"{path}: {name} of {self.kind} has shape {value.shape}; expected ({size},)")
        return as_float64(value, f"{name} of {self.kind}", path)


def of_object(model: Any) -> Estimator:
    """A fitted estimator in memory."""

    def attribute(name: str) -> Any:
        value = getattr(model, name)
        return [(label, of_object(step)) for label, step in value] if name == "steps" else value

    return Estimator(type(model).__name__, type(model).__module__, attribute)


def read(estimator: Estimator, path: Path, kind: str) -> TrainedWeights:
    """Layers of a fitted classifier.

    Parameters
    ----------
    path, kind
        Name of the file or the model, and its format, for messages.

    Raises
    ------
    InputError
        For other estimators, which are named, for one that is not fitted, or several labels for one sample.
    """
    *before, last = _steps(estimator, path)
    if last.kind != "MLPClassifier":
        raise InputError(f"{path}: holds a {shown(last.kind)[1:-1]}; {_EXPECTED}")
    weights = [as_float64(np.asarray(w), f"coefs_[{k}]", path) for k, w in enumerate(_list(last, "coefs_", path))]
    biases = [
        as_float64(np.asarray(b), f"intercepts_[{k}]", path) for k, b in enumerate(_list(last, "intercepts_", path))
    ]
    shapes = [w.shape for w in weights]
    fits = all(len(shape) == 2 for shape in shapes) and [b.shape for b in biases] == [s[1:] for s in shapes]
    if not weights or not fits:
        raise InputError(
            f"{path}: coefs_ have shapes {shown(shapes)} and intercepts_ {shown([b.shape for b in biases])}; expected "
            "(n_in, n_out) and (n_out,) for each layer"
        )
    end = last.of("out_activation_", path)
    if end == "logistic" and shapes[-1][1] > 1:
        raise InputError(
            f"{path}: MLPClassifier with {shapes[-1][1]} logistic outputs, of which several may be right at once; "
            "expected one class per sample"
        )
    chain = Chain(path, (len(weights[0]),))
    for step in before:
        chain.affine(step.kind, *_scaling(step, path, len(weights[0])))
    for k, (w, b) in enumerate(zip(weights, biases, strict=True)):
        at = f"layer {k} of MLPClassifier"
        activation = str(end if k == len(weights) - 1 else last.of("activation", path))
        chain.dense(at, w, b)
        chain.unit(at, _UNITS.get(activation, activation))
    chain.notes += _class_notes(last.of("classes_", path))
    span = _span(before[0], path, len(weights[0])) if before else None
    return replace(chain.finish(kind), input_range=span)


def arrays(estimator: Estimator, path: Path) -> dict[str, NDArray[Any]]:
    """Weights and biases of a classifier that `read` takes, by their names in scikit-learn."""
    classifier = _steps(estimator, path)[-1]
    lists = {name: _list(classifier, name, path) for name in ("coefs_", "intercepts_")}
    return {f"{name}{k}": np.asarray(array) for name, values in lists.items() for k, array in enumerate(values)}


def _steps(estimator: Estimator, path: Path) -> list[Estimator]:
    """Steps of a pipeline, also of one in it, without those that do nothing; another estimator is its only step."""
    if estimator.module.split(".")[0] != "sklearn":
        raise InputError(f"{path}: {estimator.kind} is no class of scikit-learn ({estimator.module}); {_EXPECTED}")
    if estimator.kind != "Pipeline":
        return [estimator]
    steps = []
    for _, step in _list(estimator, "steps", path):
        if isinstance(step, Estimator):
            steps += _steps(step, path)
        elif step not in (None, "passthrough"):
            raise InputError(f"{path}: Pipeline with a step {shown(step)}; {_EXPECTED}")
    if not steps:
        raise InputError(f"{path}: Pipeline without steps; {_EXPECTED}")
    return steps


def _scaling(scaler: Estimator, path: Path, n_in: int) -> tuple[FloatArray, FloatArray]:
    """Factors and terms of a scaler, one for each input.

    Raises
    ------
    InputError
        For another step, or one that clips.
    """
    if scaler.kind == "MinMaxScaler":
        if scaler.of("clip", path):
            raise InputError(f"{path}: MinMaxScaler clips its values, which the circuit does not; expected clip=False")
        return scaler.numbers("scale_", path, n_in), scaler.numbers("min_", path, n_in)
    if scaler.kind == "StandardScaler":
        deviation = scaler.numbers("scale_", path, n_in) if scaler.of("with_std", path) else np.ones(n_in)
        mean = scaler.numbers("mean_", path, n_in) if scaler.of("with_mean", path) else np.zeros(n_in)
        with np.errstate(all="ignore"):  # what that gives is refused as no number
            return 1.0 / deviation, -mean / deviation
    raise InputError(f"{path}: {shown(scaler.kind)[1:-1]} in front of the layers; {_EXPECTED}")


def _span(scaler: Estimator, path: Path, n_in: int) -> tuple[float, float] | None:
    """Smallest and largest input of the training, if the first scaler tells them."""
    if scaler.kind != "MinMaxScaler":
        return None
    low = float(scaler.numbers("data_min_", path, n_in).min())
    high = float(scaler.numbers("data_max_", path, n_in).max())
    return (low, high) if low < high else None


def _list(estimator: Estimator, name: str, path: Path) -> list[Any]:
    value = estimator.of(name, path)
    if not isinstance(value, list | tuple):
        raise InputError(f"{path}: {name} of {estimator.kind} is {shown(value)}; expected a list")
    return list(value)


def _class_notes(classes: Any) -> list[str]:
    """A sentence that says which class each output stands for, unless it is the number of the output."""
    values = np.asarray(classes).tolist()
    if values == list(range(len(values))):
        return []
    named = ", ".join(f"{k}: {shown(value)}" for k, value in enumerate(values[:_MOST_CLASSES]))
    more = f" and {len(values) - _MOST_CLASSES} more" if len(values) > _MOST_CLASSES else ""
    return [f"the classes are numbered, labels must be the numbers: {named}{more}"]
