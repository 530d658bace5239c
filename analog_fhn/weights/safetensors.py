"""Weights in safetensors files: those of PyTorch, Keras and this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.bfloat16 import from_bfloat16
from analog_fhn._support.extras import extra
from analog_fhn._support.files import new_file
from analog_fhn._support.json_text import read_object
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.weights.named import COUNTER, layers
from analog_fhn.weights.trained import (
    StandIn,
    TrainedWeights,
    ceilings_text,
    file_type,
    refuse_images,
    stated_units,
    with_stated_ceilings,
)

_NEED = "safetensors files need safetensors"
_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8", "BF16": "<u2"}


def read(path: Path) -> TrainedWeights:
    """Layers of a safetensors file, whose metadata may say `hidden`, the units of the hidden layers by commas.

    Beside it they may say `ceilings`, those of its relus by commas.

    Raises
    ------
    InputError
        For tensors that are no floats, and as `analog_fhn.weights.named.layers` does.
    """
    with extra("import", _NEED):
        from safetensors import deserialize
    raw = path.read_bytes()
    # Eight bytes with the header's length, then the header.
    header = read_object(raw[8 : 8 + int.from_bytes(raw[:8], "little")], f"{path}: header")
    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in deserialize(raw):  # type: ignore[no-untyped-call]
        if name.endswith(COUNTER):
            arrays[name] = np.empty(0)  # left out by its name
            continue
        if tensor["dtype"] not in _TYPES:
            raise InputError(
                f"{path}: {name} has type {tensor['dtype']}: expected F16, BF16, F32 or F64; "
                "convert it before saving (in PyTorch: .float())"
            )
        array = np.frombuffer(tensor["data"], dtype=_TYPES[tensor["dtype"]]).reshape(tensor["shape"])
        arrays[name] = from_bfloat16(array) if tensor["dtype"] == "BF16" else array
    metadata = header.get("__metadata__", {})
    hidden, text = None, metadata.get("hidden")
    stand_ins: tuple[StandIn, ...] = ()
    if text is not None:
        units = text.split(", ") if isinstance(text, str) else [text]
        hidden, stand_ins = stated_units(units, path)
    chain = layers(arrays, path, stored=False)
    trained = TrainedWeights(
        chain.weights, chain.biases, hidden, path, "safetensors file", chain.notes, stand_ins=stand_ins
    )
    return with_stated_ceilings(trained, metadata["ceilings"]) if "ceilings" in metadata else trained


def write(path: Path, network: Network) -> None:
    """Write tensors for ``torch.nn.Sequential(Linear, Sigmoid, Tanh or ReLU, Linear, ...).load_state_dict``.

    Raises
    ------
    InputError
        For a network of more than dense layers: the file would not say how they are used.
    """
    refuse_images(path, network)
    with extra("import", _NEED):
        from safetensors.numpy import save
    dtype = file_type((*network.weights, *network.biases))
    tensors = {}
    for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        # save takes the memory as it lies: a transposed view would be written unturned.
        tensors[f"{2 * i}.weight"] = np.ascontiguousarray(w.T, dtype=dtype)
        if b is not None:
            tensors[f"{2 * i}.bias"] = b.astype(dtype)
    ceilings = ceilings_text(network)
    metadata = {"format": "pt", "hidden": network.hidden} | ({"ceilings": ceilings} if ceilings else {})
    with new_file(path) as file:
        file.write(save(tensors, metadata=metadata))
