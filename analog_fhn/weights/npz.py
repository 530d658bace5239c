"""Weights in `.npz` files: this package's networks and arrays saved with `numpy.savez`."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn.errors import InputError
from analog_fhn.network import Network, check_hidden, named_arrays
from analog_fhn.npz import read_npz
from analog_fhn.weights.archive import check_size
from analog_fhn.weights.named import layers
from analog_fhn.weights.trained import Trained, file_type


def read(path: Path) -> Trained:
    """Layers of an `.npz` file; beside them it may hold a string `hidden`.

    Raises
    ------
    InputError
        If it unpacks to more than `LIMIT`, as `Network.load`, and as `analog_fhn.weights.named.layers` does.
    """
    with zipfile.ZipFile(path) as archive:
        check_size(archive, path)
    arrays = read_npz(path, "weights")
    if "meta" in arrays:
        network = Network.load(path)
        return Trained(
            network.weights,
            network.biases,
            network.hidden,
            path,
            "network file",
            input_range=network.input_range,
            network=network,
        )
    hidden: Any = None
    if "hidden" in arrays:
        stored = arrays.pop("hidden")
        if stored.dtype.kind != "U" or stored.ndim:
            raise InputError(f"{path}: hidden is no string; expected 'sigmoid' or 'tanh'")
        hidden = str(stored)
        check_hidden(hidden, str(path))
    found = layers(arrays, path, stored=True)
    return Trained(found.weights, found.biases, hidden, path, "NumPy file", found.notes)


def write(path: Path, network: Network) -> None:
    """Arrays w0 (n_in, n_out), b0, w1, ... and the string `hidden`."""
    arrays = named_arrays(network.weights, network.biases)
    dtype = file_type([*arrays.values()])
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    np.savez(path, hidden=np.array(network.hidden), **arrays)  # type: ignore[arg-type]
