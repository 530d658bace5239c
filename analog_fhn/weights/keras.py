"""Weights in Keras's files: `.keras`, `.weights.h5` and the older `.h5`; Keras itself is not needed.

Source of the layout: files written by Keras 3.0.5, 3.5.0 and 3.15.1. `.keras` is a zip archive of `config.json` (the
model's description) and `model.weights.h5`; there `layers/dense/vars/0` is a kernel (n_in, n_out) and `/1` its bias,
with `dense_1`, `dense_2`, ... for the further Dense layers of the list.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn._support.extras import extra
from analog_fhn._support.files import new_file
from analog_fhn._support.hdf5 import H5PY, Group
from analog_fhn._support.json_text import read_object
from analog_fhn._support.limits import open_archive
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.hdf5 import Hdf5
from analog_fhn.weights.keras_config import DenseEntry, ModelPlan, plan
from analog_fhn.weights.trained import TrainedWeights, file_type, natural

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")

KernelAndBias = tuple[FloatArray, FloatArray | None]


def read_archive(path: Path) -> TrainedWeights:
    """Layers of a `.keras` file.

    Raises
    ------
    InputError
        For models other than chains of Dense layers (`keras_config.plan`), missing or strange content.
    """
    with open_archive(path) as archive, tempfile.TemporaryFile() as content:
        missing = [name for name in (_CONFIG, _WEIGHTS) if name not in archive.namelist()]
        if missing:
            raise InputError(f"{path}: {' and '.join(missing)} not in it; expected a file of model.save in Keras 3")
        model = plan(read_object(_text(archive, _CONFIG), f"{path}: {_CONFIG}"), path)
        with archive.open(_WEIGHTS) as stream:
            shutil.copyfileobj(stream, content)
        content.seek(0)
        file = Hdf5(content, path)
    groups = _groups(file)
    return _trained([_keras3(file, groups, dense) for dense in model.dense], model, path, "Keras archive")


def read_hdf5(path: Path) -> TrainedWeights:
    """Layers of a `.weights.h5` file of Keras 3, or of an `.h5` file in the older layout, with or without the model.

    Raises
    ------
    InputError
        As `read_archive`.
    """
    with path.open("rb") as stream:
        file = Hdf5(stream, path)
    texts = file.root.texts
    if "model_config" in texts:
        model = plan(read_object(file.text(file.root, "model_config"), f"{path}: model_config"), path)
        group = file.group(file.root, "model_weights")
        layers = [_keras2(file, group, dense.name, dense) for dense in model.dense]
        return _trained(layers, model, path, "Keras HDF5 file")
    if "layer_names" in texts:
        names = file.texts(file.root, "layer_names")
        layers = [
            _keras2(file, file.root, name) for name in names if file.texts(file.group(file.root, name), "weight_names")
        ]
        return _trained(layers, None, path, "Keras HDF5 file without its model")
    groups = _groups(file)
    if not groups:
        content = ", ".join(list(file.root.members)[:8]) or "nothing"
        raise InputError(
            f"{path}: no Keras weights in this HDF5 file (it holds: {content}); "
            "expected a file of save_weights or model.save"
        )
    _refuse_other_layers(file, groups)
    layers = [_kernel_and_bias(file, groups[name]) for name in groups]
    return _trained(layers, None, path, "Keras weights file")


def write_archive(path: Path, network: Network) -> None:
    """Write a network as a Sequential model for ``keras.saving.load_model``."""
    dtype = str(file_type((*network.weights, *network.biases)))
    shape = [None, network.layer_sizes[0]]
    layers = [_entry("InputLayer", {"name": "input_layer", "batch_shape": shape, "dtype": dtype})]
    for i, layer in enumerate(network.dense):
        settings = {
            "name": _group(i),
            "dtype": dtype,
            "units": layer.n_out,
            "activation": layer.unit or "linear",
            "use_bias": layer.bias is not None,
        }
        layers.append(_entry("Dense", settings) | {"build_config": {"input_shape": [None, layer.n_in]}})
    settings = {"name": "sequential", "dtype": dtype, "layers": layers, "build_input_shape": shape}
    model = _entry("Sequential", settings) | {"module": "keras", "build_config": {"input_shape": shape}}
    with new_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, text in (("metadata.json", {"keras_version": "3.0.0"}), (_CONFIG, model)):
            archive.writestr(zipfile.ZipInfo(name), json.dumps(text))
        archive.writestr(zipfile.ZipInfo(_WEIGHTS), _hdf5(network))


def write_hdf5(path: Path, network: Network) -> None:
    """Write weights for ``load_weights`` of a model with the same Dense layers (`.weights.h5`)."""
    with new_file(path) as file:
        file.write(_hdf5(network))


def _hdf5(network: Network) -> bytes:
    """Content of a `.weights.h5` file."""
    with extra("import", H5PY):
        import h5py
    dtype = file_type((*network.weights, *network.biases))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_group("vars")
        for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
            group = file.create_group(f"layers/{_group(i)}/vars")
            group["0"] = w.astype(dtype)
            if b is not None:
                group["1"] = b.astype(dtype)
    return content.getvalue()


def _trained(layers: list[KernelAndBias], model: ModelPlan | None, path: Path, kind: str) -> TrainedWeights:
    """Layers of a file, with its model's rescaling of the inputs and its single output taken into the weights."""
    weights, biases = [w for w, _ in layers], [b for _, b in layers]
    if model is None:
        return TrainedWeights(tuple(weights), tuple(biases), None, path, kind)
    if model.offset:
        # W (u + o(1 - u)) for inputs u from 0 to 1, as the data sets have them
        ones = model.offset * weights[0].sum(axis=0)
        weights[0] = (1.0 - model.offset) * weights[0]
        biases[0] = ones if biases[0] is None else biases[0] + ones
    notes = model.notes
    if weights[-1].shape[1:] == (1,) and model.output in ("sigmoid", "tanh"):
        weights[-1] = np.pad(weights[-1], ((0, 0), (1, 0)))
        biases[-1] = None if biases[-1] is None else np.pad(biases[-1], (1, 0))
        notes = (
            *notes,
            f"one output with {model.output}: read as two classes, the second where it is above its middle (a first "
            "output of zeros added)",
        )
    return TrainedWeights(
        tuple(weights), tuple(biases), model.hidden, path, kind, notes,
        None if model.offset is None else (0.0, 1.0),
    )  # fmt: skip


def _groups(file: Hdf5) -> dict[str, Group]:
    r"""Groups of the layers that have weights, in the natural order of their names.

    Keras 3 has them in `layers`, Keras 2.12 and 2.13 in `_layer_checkpoint_dependencies`. On Windows the separator
    became a part of the name: `layers\dense`.
    """
    for container in _CONTAINERS:
        inside = file.root.members.get(container)
        groups = dict(file.group(file.root, container).members) if inside is not None else {}
        for name, member in file.root.members.items():
            if name.startswith(f"{container}\\"):
                groups[name.removeprefix(f"{container}\\")] = member
        ordered = ((name, groups[name]) for name in sorted(groups, key=natural))
        layers = {name: group for name, group in ordered if isinstance(group, Group) and _has_weights(group)}
        if layers:
            return layers
    return {}


def _has_weights(member: object) -> bool:
    """Whether a member of a file is a layer, or a model in the model, that has weights."""
    if not isinstance(member, Group):
        return False
    values = member.members.get("vars")
    return "layers" in member.members or (isinstance(values, Group) and bool(values.members))


def _refuse_other_layers(file: Hdf5, groups: dict[str, Group]) -> None:
    """Refuse by name weights of other layers than Dense, and of layers outside the model's list."""
    for name, member in file.root.members.items():
        if name.split("\\")[0] in (*_CONTAINERS, "vars", "optimizer"):
            continue
        if isinstance(member, str):
            file.group(file.root, name)  # says what it is: a link could lead to weights
        if _has_weights(member):
            raise InputError(
                f"{file.path}: {name} has weights outside the model's list of layers, whose order is not in the file; "
                "expected the weights of a Sequential or functional model"
            )
    other = [name for name in groups if name.rstrip("0123456789") not in ("dense", "dense_")]
    if other:
        raise InputError(f"{file.path}: {', '.join(other)}: weights of other layers than Dense; expected Dense only")


def _keras3(file: Hdf5, groups: dict[str, Group], dense: DenseEntry) -> KernelAndBias:
    """Kernel and bias of a Dense layer in the layout of Keras 3."""
    # Keras 2.12 and 2.13 count a layer twice: the numbers of the groups have gaps, their order is that of the layers.
    ranked = [group for name, group in groups.items() if name.rstrip("0123456789") in ("dense", "dense_")]
    if dense.number >= len(ranked):
        raise InputError(f"{file.path}: the weights of layer {dense.name!r} are missing")
    return _checked(file, _kernel_and_bias(file, ranked[dense.number], bias=dense.bias), dense)


def _kernel_and_bias(file: Hdf5, group: Group, *, bias: bool | None = None) -> KernelAndBias:
    """Kernel and bias of a layer in the layout of Keras 3; `bias` None: the bias, where the file has one."""
    values = file.group(group, "vars")
    kernel = file.numbers(values, "0")
    return kernel, file.numbers(values, "1") if bias or (bias is None and "1" in values.members) else None


def _keras2(file: Hdf5, parent: Group, name: str, dense: DenseEntry | None = None) -> KernelAndBias:
    """Kernel and bias of a Dense layer in the layout of Keras 1 and 2."""
    group = file.group(parent, name)
    places: dict[str, list[str]] = {}  # by role
    for text in file.texts(group, "weight_names"):
        *groups, last = text.split("/")
        # dense_1_W and dense_1_b are Keras 1's
        role = last.removesuffix(":0").rpartition("_")[2]
        places[{"W": "kernel", "b": "bias"}.get(role, role)] = [*groups, last]
    if not {"kernel"} <= places.keys() <= {"kernel", "bias"} or (dense and dense.bias and "bias" not in places):
        raise InputError(
            f"{file.path}: layer {name!r} has {', '.join(places) or 'no weights'}; "
            "expected kernel and bias, as Dense has"
        )
    arrays = {key: file.numbers(file.group(group, *groups), last) for key, (*groups, last) in places.items()}
    layer = arrays["kernel"], arrays.get("bias")
    return layer if dense is None else _checked(file, layer, dense)


def _checked(file: Hdf5, layer: KernelAndBias, dense: DenseEntry) -> KernelAndBias:
    """The layer, if it has as many outputs as the model's description says."""
    kernel, _ = layer
    if dense.units is not None and kernel.shape[1:] != (dense.units,):
        raise InputError(
            f"{file.path}: layer {dense.name!r} has weights of shape {kernel.shape}; expected {dense.units} columns, "
            "its units"
        )
    return layer


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream, io.BytesIO() as content:
        shutil.copyfileobj(stream, content)
        return content.getvalue()


def _group(i: int) -> str:
    return f"dense_{i}" if i else "dense"


def _entry(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": settings, "registered_name": None}
