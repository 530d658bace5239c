"""Models in memory: those of Keras, PyTorch and scikit-learn, without a file; none of their packages is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.hashing import sha256_of_arrays
from analog_fhn._support.json_text import read_object
from analog_fhn.errors import InputError, shown
from analog_fhn.network import Network
from analog_fhn.weights import estimators, keras_layers, torch_modules
from analog_fhn.weights.chain import Chain
from analog_fhn.weights.keras_config import Entry, plan
from analog_fhn.weights.trained import Hidden, TrainedWeights, as_float64, to_network

# Classes that all models of a library are of, with the package that they come from.
_BASES = {("keras", "Model"), ("tf_keras", "Model"), ("torch", "Module"), ("sklearn", "BaseEstimator")}
_EXPECTED = (
    "expected a model of Keras, a torch.nn.Sequential, a state dict (names and arrays), a fitted MLPClassifier of "
    "scikit-learn, or a Pipeline of StandardScaler or MinMaxScaler and such a classifier (a file: load_network)"
)


def from_model(
    model: Any,
    *,
    hidden: Hidden | None = None,
    input_range: tuple[float, float] | None = None,
    ceilings: float | Sequence[float] | None = None,
    images: NDArray[np.floating] | None = None,
    nearest: bool = False,
    input_shape: Sequence[int] | None = None,
) -> Network:
    """Network of a model in memory, with FHN neurons as hidden units.

    Its provenance names the model's class, its library with the version, and the SHA-256 of the model's arrays.

    Parameters
    ----------
    model
        A Keras model; a torch.nn.Sequential, or the state dict of a module of Linear layers; a fitted MLPClassifier of
        scikit-learn, or a Pipeline of scalers and such a classifier. Nothing of the model is run.
    hidden, input_range, ceilings, images, nearest
        What the model does not say; see `to_network`. A state dict does not say the hidden units. An input range that
        nobody says is that of the images, if there are any.
    input_shape
        Sizes of one input of a torch.nn.Sequential, (channels, lines, places): needed by convolutions, and by colours
        in front of a Flatten.

    Raises
    ------
    InputError
        For other models, layers that no circuit is built for, and as `to_network` does.
    """
    kind = type(model)
    path = Path(kind.__name__)  # its name in messages
    classes = [(cls.__module__.split(".")[0], cls.__name__) for cls in kind.__mro__]
    library = next((root for root, name in classes if (root, name) in _BASES), "")
    if input_shape is not None and library != "torch":
        raise InputError(f"{path}: input_shape {shown(input_shape)} given, which a torch.nn.Sequential alone needs")
    if library.endswith("keras"):
        trained = _of_keras(model, path)
        arrays = {str(k): _array(array) for k, array in enumerate(model.get_weights())}
    elif library == "torch":
        trained = torch_modules.read(model, path, input_shape)
        arrays = torch_modules.arrays(model.state_dict(), path)
    elif library == "sklearn":
        estimator = estimators.of_object(model)
        trained, arrays = estimators.read(estimator, path, "scikit-learn model"), estimators.arrays(estimator, path)
    elif isinstance(model, Mapping):
        path = Path("state dict")
        arrays = torch_modules.arrays(model, path)
        trained = torch_modules.read_state(arrays, path)
    else:
        raise InputError(f"a {kind.__module__}.{kind.__qualname__} is no model that is known here; {_EXPECTED}")
    if input_range is None and trained.input_range is None and images is not None:
        input_range = float(np.min(images)), float(np.max(images))
    network = to_network(
        replace(trained, sha256=sha256_of_arrays(arrays)), hidden=hidden, input_range=input_range, ceilings=ceilings,
        images=images, nearest=nearest,
    )  # fmt: skip
    told = {name: value for name, value in network.provenance["imported"].items() if name != "file"}
    version = getattr(sys.modules.get(library), "__version__", "of unknown version")
    origin = {
        "model": f"{kind.__module__}.{kind.__qualname__}",
        "library": f"{library} {version}" if library else None,
    }
    return replace(network, provenance=network.provenance | {"imported": origin | told})


def _of_keras(model: Any, path: Path) -> TrainedWeights:
    """Layers of a Keras model, by its description of itself and the arrays of its layers."""
    try:
        text = model.to_json()
    except (NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: does not describe its layers ({error}); expected a Sequential or functional model of Keras"
        ) from None
    described = plan(read_object(text, f"{path}: to_json()"), path)
    chain = Chain(path, described.shape)
    for layer in described.layers:
        keras_layers.take(chain, layer, partial(_keras_arrays, model, layer, path))
    return chain.finish("Keras model")


def _keras_arrays(model: Any, layer: Entry, path: Path) -> keras_layers.Arrays:
    """Arrays of a layer by their roles."""
    for name in (*layer.models, layer.name):
        model = model.get_layer(name)
    arrays, roles = model.get_weights(), keras_layers.roles(layer)
    if len(arrays) < len(roles):
        raise InputError(f"{path}: {layer.at} has no weights yet; build the model or use it once")
    return {
        role: as_float64(_array(array), f"{layer.at}: {role}", path)
        for role, array in zip(roles, arrays, strict=False)  # those behind them are counters
    }


def _array(values: Any) -> NDArray[Any]:
    """Values as an array; those of bfloat16, which NumPy lacks, as float32."""
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
