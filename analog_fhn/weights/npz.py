"""Weights in `.npz` files: this package's networks and arrays saved with `numpy.savez`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analog_fhn._support.files import new_file
from analog_fhn._support.npz import read_npz, read_text
from analog_fhn.network import Network, named_arrays
from analog_fhn.patches import Front
from analog_fhn.weights.named import layers
from analog_fhn.weights.trained import (
    Hidden,
    StandIn,
    TrainedWeights,
    ceilings_text,
    file_type,
    hidden_of,
    stated_units,
    with_stated_ceilings,
)


def read(path: Path) -> TrainedWeights:
    """Layers of an `.npz` file.

    Beside them it may hold a string `hidden`, the units of the hidden layers by commas, and `ceilings`, those of its
    relus.

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
    stand_ins: tuple[StandIn, ...] = ()
    if "hidden" in arrays:
        units = read_text(path, arrays, "hidden", "'sigmoid', 'tanh' or 'relu'").split(", ")
        hidden, stand_ins = stated_units(units, path)
        del arrays["hidden"]
    ceilings = None
    if hidden is not None and "ceilings" in arrays:
        ceilings = read_text(path, arrays, "ceilings", "numbers separated by commas")
        del arrays["ceilings"]
    chain = layers(arrays, path, stored=True)
    trained = TrainedWeights(chain.weights, chain.biases, hidden, path, "NumPy file", chain.notes, stand_ins=stand_ins)
    return trained if ceilings is None else with_stated_ceilings(trained, ceilings)


def write(path: Path, network: Network) -> None:
    """Write the arrays w0 (n_in, n_out), b0, w1, ... and the string `hidden`; of relus also `ceilings`.

    A network with convolutions or means is written as a network file of this package.
    """
    if any(front != Front() for front in network.fronts):
        network.save(path)
        return
    arrays = named_arrays(network.weights, network.biases)
    dtype = file_type([*arrays.values()])
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    ceilings = ceilings_text(network)
    texts = {"hidden": np.array(network.hidden)} | ({"ceilings": np.array(ceilings)} if ceilings else {})
    with new_file(path) as file:
        np.savez(file, **texts, **arrays)  # type: ignore[arg-type]
