"""A Keras model's description of itself (JSON): which layers, in which order, with which activations.

It is read as data; nothing that it names is made or run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from analog_fhn.errors import InputError
from analog_fhn.network import check_hidden
from analog_fhn.readout import Activation

# Act in training only.
_INACTIVE = {"Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity"}
_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
# The largest output stays the largest.
_KEEP_ORDER = {"linear", "softmax", "log_softmax", "sigmoid", "tanh"}
_EXPECTED = "expected Dense layers, beside Input, Flatten, Dropout, Activation, Softmax and Rescaling"


@dataclass(frozen=True)
class Dense:
    """A Dense layer of a model.

    Parameters
    ----------
    name
        The layer's name.
    number
        Its place among the Dense layers of the model's list, from 0, which orders the groups of Keras 3's weight files.
    bias
        Whether it has a bias.
    units
        Its outputs; None: not said.
    """

    name: str
    number: int
    bias: bool
    units: int | None


@dataclass(frozen=True)
class Plan:
    """What a model does to its inputs.

    Parameters
    ----------
    dense
        The Dense layers in their order.
    hidden
        Activation between them.
    output
        Activation of the last.
    offset
        Offset of a Rescaling layer before them (0: to 0..1, -1: to -1..1); None: no such layer.
    notes
        What was taken how, in words.
    """

    dense: tuple[Dense, ...]
    hidden: Activation
    output: str
    offset: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Layer:
    name: str
    kind: str
    settings: dict[str, Any]
    sources: tuple[str, ...]


def plan(model: dict[str, Any], path: Path) -> Plan:
    """Read a model's description.

    Parameters
    ----------
    model
        Content of config.json, or of the attribute `model_config` of an HDF5 file.

    Raises
    ------
    InputError
        If the model is more than a chain of Dense layers, or its activations are none that FHN neurons can stand in
        for.
    """
    kind = model["class_name"]
    if kind not in ("Sequential", "Functional", "Model"):
        raise InputError(f"{path}: holds a {kind}; expected a Sequential or functional model of Keras")
    config = model["config"]
    # Keras up to 2.2.2 wrote the list alone
    layers = [_layer(entry, path) for entry in (config if isinstance(config, list) else config["layers"])]
    numbers = {layer.name: k for k, layer in enumerate(_dense(layers))}
    if kind != "Sequential":
        layers = _chain(layers, [name for name, *_ in _places(config["output_layers"])], path)
    notes: list[str] = []
    offset: float | None = None
    dense: list[_Layer] = []
    activations: list[str] = []
    for layer in layers:
        where = f"{path}: layer {layer.name!r} ({layer.kind})"
        settings = layer.settings
        if layer.kind == "Dense":
            dense.append(layer)
            activations.append(_activation(settings.get("activation")))
        elif layer.kind in _ACTIVATIONS:
            if not dense or activations[-1] != "linear":
                raise InputError(f"{where} follows no linear Dense layer; {_EXPECTED}")
            activations[-1] = _activation(settings["activation"] if "activation" in settings else layer.kind.lower())
        elif layer.kind == "Rescaling":
            if dense or offset is not None:
                raise InputError(f"{where} stands among the layers; expected one before the first")
            offset = _offset(settings, where)
            top = (1.0 - offset) / settings["scale"]
            notes.append(f"{layer.name} (Rescaling): where the model takes 0 to {top:g}, the network takes 0 to 1")
        elif layer.kind in _INACTIVE:
            notes.append(f"{layer.name} ({layer.kind}) left out: it acts in training only")
        elif not _keeps_pixels(layer):
            raise InputError(f"{where} has no place in this circuit; {_EXPECTED}")
    if len(dense) < 2:
        raise InputError(f"{path}: holds {len(dense)} Dense layers; expected at least 2 (hidden and output)")
    hidden = _hidden(dense[:-1], activations[:-1], path)
    if activations[-1] not in _KEEP_ORDER:
        raise InputError(
            f"{path}: layer {dense[-1].name!r}: output activation {activations[-1]!r}; expected one that keeps the "
            f"largest output the largest: {', '.join(sorted(_KEEP_ORDER))}"
        )
    if activations[-1] != "linear":
        notes.append(f"{activations[-1]} of the outputs left out: the largest stays the largest")
    return Plan(
        tuple(_as_dense(layer, numbers[layer.name]) for layer in dense),
        hidden,
        activations[-1],
        offset,
        tuple(notes),
    )


def _as_dense(layer: _Layer, number: int) -> Dense:
    # output_dim and bias are Keras 1's
    settings = layer.settings
    units = settings.get("units", settings.get("output_dim"))
    return Dense(layer.name, number, bool(settings.get("use_bias", settings.get("bias", True))), units)


def _hidden(dense: list[_Layer], activations: list[str], path: Path) -> Activation:
    for layer, activation in zip(dense, activations, strict=True):
        check_hidden(activation, f"{path}: layer {layer.name!r}")
    if len(set(activations)) > 1:
        listed = ", ".join(f"{layer.name} {a}" for layer, a in zip(dense, activations, strict=True))
        raise InputError(f"{path}: hidden activations differ ({listed}); expected one for all hidden layers")
    return cast("Activation", activations[0])


def _keeps_pixels(layer: _Layer) -> bool:
    """Whether a layer hands on its inputs in their order, as images are flattened here."""
    if layer.kind == "Reshape":
        return len(layer.settings["target_shape"]) == 1
    return layer.kind == "InputLayer" or (
        layer.kind == "Flatten" and layer.settings.get("data_format") != "channels_first"
    )


def _layer(entry: dict[str, Any], path: Path) -> _Layer:
    name, kind = entry["config"]["name"], entry["class_name"]
    if ">" in str(entry.get("registered_name")) or not str(entry.get("module", "keras")).startswith("keras"):
        raise InputError(f"{path}: layer {name!r} is a {kind} of the user's own, which is not run; {_EXPECTED}")
    sources = tuple(source for source, *_ in _places(entry.get("inbound_nodes", [])))
    return _Layer(name, kind, entry["config"], sources)


def _dense(layers: list[_Layer]) -> list[_Layer]:
    # Keras numbers a kind of layer in the order of the list, whatever the names.
    return [layer for layer in layers if layer.kind == "Dense"]


def _chain(layers: list[_Layer], outputs: list[str], path: Path) -> list[_Layer]:
    """Layers from the input to the output of a functional model."""
    followers: dict[str, list[_Layer]] = {}
    for layer in layers:
        for source in layer.sources:
            followers.setdefault(source, []).append(layer)
    inputs = [layer for layer in layers if not layer.sources]
    chain = inputs[:1]
    while chain and len(chain) <= len(layers) and len(followers.get(chain[-1].name, ())) == 1:
        chain.append(followers[chain[-1].name][0])
    if len(chain) != len(layers) or outputs != [chain[-1].name]:
        raise InputError(
            f"{path}: the model branches, shares a layer or has several inputs or outputs; expected one chain of layers"
        )
    return chain


def _places(node: Any) -> Iterator[list[Any]]:
    """All [layer, node, tensor] in a description of connections: Keras 2 and 3 nest them differently."""
    if isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and all(type(k) is int for k in node[1:3]):
            yield node
        else:
            for part in node:
                yield from _places(part)
    elif isinstance(node, dict):
        for part in node.values():
            yield from _places(part)


def _activation(given: Any) -> str:
    if given is None:
        return "linear"
    if isinstance(given, dict):
        given = given["config"] if isinstance(given.get("config"), str) else given["class_name"]
    return str(given)


def _offset(settings: dict[str, Any], where: str) -> float:
    scale, offset = settings["scale"], settings.get("offset", 0.0)
    if not (isinstance(scale, int | float) and scale > 0 and offset in (0, -1)):
        raise InputError(
            f"{where}: scale {scale}, offset {offset}: expected a scale with offset 0 (to 0..1) or "
            "-1 (to -1..1); train on scaled images instead"
        )
    return float(offset)
