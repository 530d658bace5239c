"""Weights in `.npz` files: this package's networks and arrays saved with `numpy.savez`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analog_fhn._support.files import new_file
from analog_fhn._support.npz import read_npz, read_text
from analog_fhn.network import Network, check_hidden, named_arrays
from analog_fhn.weights.named import layers
from analog_fhn.weights.trained import Hidden, TrainedWeights, file_type, hidden_of


def read(path: Path) -> TrainedWeights:
    """Layers of an `.npz` file; beside them it may hold a string `hidden`, the units of the hidden layers by commas.

    Raises
    ------
    InputError
        As `read_npz`, `Network.load` and `analog_fhn.weights.named.layers`.
    """
    arrays = read_npz(path, "weights")
    if "meta" in arrays:
        network = Network.load(path)
        return TrainedWeights(
            network.weights,
            network.biases,
            hidden_of(network.units),
            path,
            "network file",
            input_range=network.input_range,
            network=network,
        )
    hidden: Hidden | None = None
    if "hidden" in arrays:
        units = read_text(path, arrays, "hidden", "'sigmoid' or 'tanh'").split(", ")
        hidden = hidden_of([check_hidden(unit, str(path)) for unit in units])
        del arrays["hidden"]
    chain = layers(arrays, path, stored=True)
    return TrainedWeights(chain.weights, chain.biases, hidden, path, "NumPy file", chain.notes)


def write(path: Path, network: Network) -> None:
    """Write the arrays w0 (n_in, n_out), b0, w1, ... and the string `hidden`."""
    arrays = named_arrays(network.weights, network.biases)
    dtype = file_type([*arrays.values()])
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    with new_file(path) as file:
        np.savez(file, hidden=np.array(network.hidden), **arrays)  # type: ignore[arg-type]
