"""Weights in Keras's files: `.keras`, `.weights.h5` and the older `.h5`; Keras itself is not needed.

Source of the layout: files written by Keras 3.0.5, 3.5.0 and 3.15.1. `.keras` is a zip archive of `config.json` (the
model's description) and `model.weights.h5`; there `layers/dense/vars/0` is a kernel (n_in, n_out) and `/1` its bias,
with `dense_1`, `dense_2`, ... for the further Dense layers of the list.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py

from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.archive import check_size, member
from analog_fhn.weights.hdf5 import Hdf5
from analog_fhn.weights.keras_config import Plan, plan
from analog_fhn.weights.trained import Trained, file_type, natural

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"

Layer = tuple[FloatArray, FloatArray | None]


def read_archive(path: Path) -> Trained:
    """Layers of a `.keras` file.

    Raises
    ------
    InputError
        For models other than chains of Dense layers (`keras_config.plan`), missing or strange content.
    """
    with zipfile.ZipFile(path) as archive:
        check_size(archive, path)
        missing = [name for name in (_CONFIG, _WEIGHTS) if name not in archive.namelist()]
        if missing:
            raise InputError(f"{path}: {' and '.join(missing)} not in it; expected a file of model.save in Keras 3")
        model = plan(json.loads(member(archive, _CONFIG)), path)
        content = io.BytesIO(member(archive, _WEIGHTS))
    with Hdf5(content, path) as file:
        layers = [_keras3(file, dense.group, bias=dense.bias) for dense in model.dense]
    return _trained(layers, model, path, "Keras archive")


def read_hdf5(path: Path) -> Trained:
    """Layers of a `.weights.h5` file of Keras 3, or of an `.h5` file in the older layout, with or without the model.

    Raises
    ------
    InputError
        As `read_archive`.
    """
    with Hdf5(path, path) as file:
        if "model_config" in file.root.attrs:
            model = plan(json.loads(file.root.attrs["model_config"]), path)
            group = file.group(file.root, "model_weights")
            layers = [_keras2(file, group, dense.name, bias=dense.bias) for dense in model.dense]
            return _trained(layers, model, path, "Keras HDF5 file")
        if "layer_names" in file.root.attrs:
            names = [_text(name) for name in file.root.attrs["layer_names"]]
            found = [
                _keras2(file, file.root, name)
                for name in names
                if len(file.group(file.root, name).attrs["weight_names"])
            ]
            return _trained(found, None, path, "Keras HDF5 file without its model")
        if not file.has(file.root, "layers"):
            raise InputError(
                f"{path}: no Keras weights in this HDF5 file (found: {', '.join(file.names(file.root)) or 'nothing'}); "
                "expected a file of save_weights or model.save"
            )
        return _trained([_keras3(file, name) for name in _dense_groups(file)], None, path, "Keras weights file")


def write_archive(path: Path, network: Network) -> None:
    """Sequential model for ``keras.saving.load_model``."""
    dtype = str(file_type((*network.weights, *network.biases)))
    shape = [None, network.layer_sizes[0]]
    layers = [_entry("InputLayer", {"name": "input_layer", "batch_shape": shape, "dtype": dtype})]
    for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        settings = {
            "name": _group(i),
            "dtype": dtype,
            "units": w.shape[1],
            "activation": network.hidden if i < len(network.weights) - 1 else "linear",
            "use_bias": b is not None,
        }
        layers.append(_entry("Dense", settings) | {"build_config": {"input_shape": [None, w.shape[0]]}})
    settings = {"name": "sequential", "dtype": dtype, "layers": layers, "build_input_shape": shape}
    model = _entry("Sequential", settings) | {"module": "keras", "build_config": {"input_shape": shape}}
    content = io.BytesIO()
    write_hdf5(content, network)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in (("metadata.json", {"keras_version": "3.0.0"}), (_CONFIG, model)):
            archive.writestr(zipfile.ZipInfo(name), json.dumps(text))
        archive.writestr(zipfile.ZipInfo(_WEIGHTS), content.getvalue())


def write_hdf5(target: Path | io.BytesIO, network: Network) -> None:
    """Weights for ``load_weights`` of a model with the same Dense layers (`.weights.h5`)."""
    dtype = file_type((*network.weights, *network.biases))
    with h5py.File(target, "w") as file:
        file.create_group("vars")
        for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
            group = file.create_group(f"layers/{_group(i)}/vars")
            group["0"] = w.astype(dtype)
            if b is not None:
                group["1"] = b.astype(dtype)


def _trained(layers: list[Layer], model: Plan | None, path: Path, kind: str) -> Trained:
    weights, biases = [w for w, _ in layers], [b for _, b in layers]
    if model is not None and model.offset:
        # W (u + o(1 - u)) for inputs u from 0 to 1, as the data sets have them
        ones = model.offset * weights[0].sum(axis=0)
        weights[0] = (1.0 - model.offset) * weights[0]
        biases[0] = ones if biases[0] is None else biases[0] + ones
    return Trained(
        tuple(weights),
        tuple(biases),
        None if model is None else model.hidden,
        path,
        kind,
        () if model is None else model.notes,
        None if model is None or model.offset is None else (0.0, 1.0),
    )


def _dense_groups(file: Hdf5) -> list[str]:
    """Groups of the Dense layers; other layers with weights are refused by name."""
    for name in file.names(file.root):
        if name not in ("layers", "vars", "optimizer") and _variables(file, file.group(file.root, name)):
            raise InputError(
                f"{file.path}: {name} has weights outside the model's list of layers, whose order is not in the file; "
                "expected the weights of a Sequential or functional model"
            )
    layers = file.group(file.root, "layers")
    found = [name for name in sorted(file.names(layers), key=natural) if _variables(file, file.group(layers, name))]
    other = [name for name in found if name.rstrip("0123456789") not in ("dense", "dense_")]
    if other:
        raise InputError(f"{file.path}: {', '.join(other)}: weights of other layers than Dense; expected Dense only")
    return found


def _variables(file: Hdf5, group: Any) -> bool:
    return file.has(group, "layers") or (file.has(group, "vars") and bool(file.names(file.group(group, "vars"))))


def _keras3(file: Hdf5, name: str, *, bias: bool | None = None) -> Layer:
    """Kernel and bias of a layer; None: the bias that there is."""
    values = file.group(file.root, "layers", name, "vars")
    kernel = file.numbers(values, "0")
    return kernel, file.numbers(values, "1") if bias or (bias is None and file.has(values, "1")) else None


def _keras2(file: Hdf5, parent: Any, name: str, *, bias: bool | None = None) -> Layer:
    group = file.group(parent, name)
    found: dict[str, list[str]] = {}
    for text in group.attrs["weight_names"]:
        *groups, last = _text(text).split("/")
        found[last.removesuffix(":0")] = [*groups, last]
    if not {"kernel"} <= found.keys() <= {"kernel", "bias"} or (bias and "bias" not in found):
        raise InputError(
            f"{file.path}: layer {name!r} has {', '.join(found) or 'no weights'}; "
            "expected kernel and bias, as Dense has"
        )
    arrays = {key: file.numbers(file.group(group, *groups), last) for key, (*groups, last) in found.items()}
    return arrays["kernel"], arrays.get("bias")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _group(i: int) -> str:
    return f"dense_{i}" if i else "dense"


def _entry(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": settings, "registered_name": None}
