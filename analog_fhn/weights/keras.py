"""Weights in Keras's files: `.keras`, `.weights.h5` and the older `.h5`; Keras itself is not needed.

Source of the layout: files written by Keras 3.0.5, 3.5.0 and 3.15.1. `.keras` is a zip archive of `config.json` (the
model's description) and `model.weights.h5`; there `layers/dense/vars/0` is a kernel (n_in, n_out) and `/1` its bias,
with `dense_1`, `dense_2`, ... for the further Dense layers of the list, and `layers/sequential/layers/dense` for one of
a model in the model.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from analog_fhn._support.extras import extra
from analog_fhn._support.files import new_file
from analog_fhn._support.hdf5 import H5PY, Group
from analog_fhn._support.json_text import read_object
from analog_fhn._support.limits import open_archive
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.weights.chain import Chain
from analog_fhn.weights.hdf5 import Hdf5
from analog_fhn.weights.keras_config import Entry, ModelPlan, plan
from analog_fhn.weights.keras_layers import Arrays, roles, take
from analog_fhn.weights.keras_write import described, entry, group_names, kernel_of
from analog_fhn.weights.trained import TrainedWeights, file_type, natural

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")

# Longer names first: the shorter ones end them.
_ROLES = (
    "depthwise_kernel", "pointwise_kernel", "moving_mean", "moving_variance", "running_mean", "running_std", "kernel",
    "bias", "gamma", "beta", "mean", "variance", "W", "b",
)  # fmt: skip
_OLD = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}  # Keras 1's

KernelAndBias = tuple[FloatArray, FloatArray | None]


def read_archive(path: Path) -> TrainedWeights:
    """Layers of a `.keras` file.

    Raises
    ------
    InputError
        For models other than chains of Keras's layers (`keras_config.plan`, `keras_layers.take`), missing or strange
        content.
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
    return _layers(model, path, "Keras archive", lambda layer: _keras3(file, layer))


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
        return _layers(model, path, "Keras HDF5 file", lambda layer: _keras2(file, group, layer))
    if "layer_names" in texts:
        names = file.texts(file.root, "layer_names")
        trained = [name for name in names if file.texts(file.group(file.root, name), "weight_names")]
        return _weights([_keras2_dense(file, name) for name in trained], path, "Keras HDF5 file without its model")
    groups = _groups(file, file.root)
    if not groups:
        content = ", ".join(list(file.root.members)[:8]) or "nothing"
        raise InputError(
            f"{path}: no Keras weights in this HDF5 file (it holds: {content}); "
            "expected a file of save_weights or model.save"
        )
    _refuse_other_layers(file, groups)
    return _weights([_kernel_and_bias(file, groups[name]) for name in groups], path, "Keras weights file")


def write_archive(path: Path, network: Network) -> None:
    """Write a network as a Sequential model for ``keras.saving.load_model``.

    Raises
    ------
    InputError
        If a padding or a mean is none that Keras has.
    """
    dtype = str(file_type((*network.weights, *network.biases)))
    front = network.fronts[0]
    first = front.pools[0] if front.pools else front.patches
    shape = [None, network.n_inputs] if first is None else [None, *first.shape]
    layers = [entry("InputLayer", {"name": "input_layer", "batch_shape": shape, "dtype": dtype})]
    layers += described(path, network, dtype)
    settings = {"name": "sequential", "dtype": dtype, "layers": layers, "build_input_shape": shape}
    model = entry("Sequential", settings) | {"module": "keras", "build_config": {"input_shape": shape}}
    with new_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, text in (("metadata.json", {"keras_version": "3.0.0"}), (_CONFIG, model)):
            archive.writestr(zipfile.ZipInfo(name), json.dumps(text))
        archive.writestr(zipfile.ZipInfo(_WEIGHTS), _hdf5(network))


def write_hdf5(path: Path, network: Network) -> None:
    """Write weights for ``load_weights`` of a model with the same layers (`.weights.h5`)."""
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
        for layer, name in zip(network.dense, group_names(network), strict=True):
            group = file.create_group(f"layers/{name}/vars")
            group["0"] = kernel_of(layer).astype(dtype)
            if layer.bias is not None:
                group["1"] = layer.bias.astype(dtype)
    return content.getvalue()


def _layers(model: ModelPlan, path: Path, kind: str, arrays: Callable[[Entry], Arrays]) -> TrainedWeights:
    """Layers of a file that holds its model."""
    chain = Chain(path, model.shape)
    for layer in model.layers:
        take(chain, layer, partial(arrays, layer))
    return chain.finish(kind)


def _weights(layers: list[KernelAndBias], path: Path, kind: str) -> TrainedWeights:
    """Layers of a file of weights alone, which does not say their activations."""
    return TrainedWeights(tuple(w for w, _ in layers), tuple(b for _, b in layers), None, path, kind)


def _groups(file: Hdf5, parent: Group) -> dict[str, Group]:
    r"""Groups of the layers of a model that have weights, in the natural order of their names.

    Keras 3 has them in `layers`, Keras 2.12 and 2.13 in `_layer_checkpoint_dependencies`. On Windows the separator
    became a part of the name: `layers\dense`.
    """
    for container in _CONTAINERS:
        inside = parent.members.get(container)
        groups = dict(file.group(parent, container).members) if inside is not None else {}
        for name, member in parent.members.items():
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
    inside = any(container in member.members for container in _CONTAINERS)
    return inside or (isinstance(values, Group) and bool(values.members))


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
    other = [name for name in groups if not _is_of(name, "dense")]
    if other:
        raise InputError(
            f"{file.path}: {', '.join(other)}: weights of other layers than Dense, whose place in the model the file "
            "does not tell; save the whole model (model.save)"
        )


def _is_of(name: str, kind: str) -> bool:
    """Whether a group is that of a layer of a class in Keras's spelling: dense, dense_1, ..."""
    return name.rstrip("0123456789") in (kind, f"{kind}_")


def _keras3(file: Hdf5, layer: Entry) -> Arrays:
    """Arrays of a layer in the layout of Keras 3."""
    expected = roles(layer)
    if not expected:
        return {}
    group = file.root
    for kind, number in layer.groups:
        # Keras 2.12 and 2.13 count a layer twice: the groups' numbers have gaps, their order is that of the layers.
        ranked = [member for name, member in _groups(file, group).items() if _is_of(name, kind)]
        if number >= len(ranked):
            raise InputError(f"{file.path}: the weights of layer {layer.name!r} are missing")
        group = ranked[number]
    values = file.group(group, "vars")
    return {role: file.numbers(values, str(k)) for k, role in enumerate(expected)}


def _kernel_and_bias(file: Hdf5, group: Group) -> KernelAndBias:
    """Kernel and bias of a Dense layer in the layout of Keras 3, where the model is not there to tell."""
    values = file.group(group, "vars")
    return file.numbers(values, "0"), file.numbers(values, "1") if "1" in values.members else None


def _keras2(file: Hdf5, parent: Group, layer: Entry) -> Arrays:
    """Arrays of a layer in the layout of Keras 1 and 2, whose groups are those of the outermost models."""
    expected = roles(layer)
    if not expected:
        return {}
    group = file.group(parent, (*layer.models, layer.name)[0])
    places = {
        role: place for role, place, owner in _places(file, group) if not layer.models or owner == layer.name
    }  # fmt: skip
    if layer.kind.startswith("Depthwise") and "depthwise_kernel" in places:
        places["kernel"] = places.pop("depthwise_kernel")
    if not set(expected) <= places.keys() or (layer.kind == "Dense" and len(places) > 2):
        raise InputError(
            f"{file.path}: layer {layer.name!r} has {', '.join(places) or 'no weights'}; expected "
            f"{', '.join(expected)}, as {layer.kind} has"
        )
    return {role: file.numbers(file.group(group, *places[role][:-1]), places[role][-1]) for role in expected}


def _keras2_dense(file: Hdf5, name: str) -> KernelAndBias:
    """Kernel and bias of a Dense layer in the layout of Keras 1 and 2, where the model is not there to tell."""
    group = file.group(file.root, name)
    places = {role: place for role, place, _ in _places(file, group)}
    if not {"kernel"} <= places.keys() <= {"kernel", "bias"}:
        raise InputError(
            f"{file.path}: layer {name!r} has {', '.join(places) or 'no weights'}; "
            "expected kernel and bias, as Dense has; of other layers save the whole model (model.save)"
        )
    arrays = {role: file.numbers(file.group(group, *place[:-1]), place[-1]) for role, place in places.items()}
    return arrays["kernel"], arrays.get("bias")


def _places(file: Hdf5, group: Group) -> Iterator[tuple[str, list[str], str]]:
    """Role of each array of a layer, its place in the group, and the name of the layer that it belongs to."""
    for text in file.texts(group, "weight_names"):
        place = text.split("/")
        name = place[-1].removesuffix(":0")
        # dense_1_W and dense_1_b are Keras 1's
        role = next((role for role in _ROLES if name == role or name.endswith(f"_{role}")), name)
        yield _OLD.get(role, role), place, place[-2] if len(place) > 1 else name.removesuffix(f"_{role}")


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as stream, io.BytesIO() as content:
        shutil.copyfileobj(stream, content)
        return content.getvalue()
