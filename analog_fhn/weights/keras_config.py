"""A Keras model's description of itself (JSON): which layers, in which order, with which activations.

It is read as data; nothing that it names is made or run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analog_fhn.errors import InputError
from analog_fhn.network import check_hidden
from analog_fhn.weights.trained import Hidden, hidden_of

# Act in training only.
_INACTIVE = {"Dropout", "GaussianDropout", "GaussianNoise", "AlphaDropout", "ActivityRegularization", "Identity"}
_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"}
# The largest output stays the largest.
_KEEP_ORDER = {"linear", "softmax", "log_softmax", "sigmoid", "tanh"}
_EXPECTED = "expected Dense layers, beside Input, Flatten, Dropout, Activation, Softmax and Rescaling"


@dataclass(frozen=True)
class DenseEntry:
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
class ModelPlan:
    """The chain of Dense layers that a model is, and what is done to its inputs.

    Parameters
    ----------
    dense
        The Dense layers in their order.
    hidden
        Unit of all hidden layers, or one for each where they differ.
    output
        Activation of the last.
    offset
        Offset of a Rescaling layer before them (0: to 0..1, -1: to -1..1); None: no such layer.
    notes
        A sentence for each layer that was left out or taken into another.
    """

    dense: tuple[DenseEntry, ...]
    hidden: Hidden
    output: str
    offset: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Entry:
    """One layer of the description; `sources` are the names of the layers that its inputs come from."""

    name: str
    kind: str
    settings: dict[str, Any]
    sources: tuple[str, ...]


@dataclass
class _Chain:
    """The layers of a model from its input on, as far as they have been read.

    Parameters
    ----------
    dense, activations
        The Dense layers, and the activation behind each.
    offset, notes
        As in `ModelPlan`.
    """

    dense: list[_Entry] = field(default_factory=list)
    activations: list[str] = field(default_factory=list)
    offset: float | None = None
    notes: list[str] = field(default_factory=list)

    def append(self, layer: _Entry, path: Path) -> None:
        """Read the next layer.

        Raises
        ------
        InputError
            If it has no place in a chain of Dense layers.
        """
        where = f"{path}: layer {layer.name!r} ({layer.kind})"
        settings = layer.settings
        if layer.kind == "Dense":
            self.dense.append(layer)
            self.activations.append(_activation(settings.get("activation")))
        elif layer.kind in _ACTIVATIONS:
            if not self.dense or self.activations[-1] != "linear":
                raise InputError(f"{where} follows no linear Dense layer; {_EXPECTED}")
            setting = settings["activation"] if "activation" in settings else layer.kind.lower()
            self.activations[-1] = _activation(setting)
        elif layer.kind == "Rescaling":
            if self.dense or self.offset is not None:
                raise InputError(f"{where} stands among the layers; expected one before the first")
            self.offset = _offset(settings, where)
            top = (1.0 - self.offset) / settings["scale"]
            self.notes.append(f"{layer.name} (Rescaling): where the model takes 0 to {top:g}, the network takes 0 to 1")
        elif layer.kind in _INACTIVE:
            self.notes.append(f"{layer.name} ({layer.kind}) left out: it acts in training only")
        elif not _keeps_pixels(layer):
            raise InputError(f"{where} has no place in this circuit; {_EXPECTED}")


def plan(model: dict[str, Any], path: Path) -> ModelPlan:
    """Chain of Dense layers in a model's description.

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
    chain = _Chain()
    for layer in layers:
        chain.append(layer, path)
    dense, notes = chain.dense, chain.notes
    if len(dense) < 2:
        raise InputError(f"{path}: holds {len(dense)} Dense layers; expected at least 2 (hidden and output)")
    *between, output = chain.activations
    pairs = zip(dense[:-1], between, strict=True)
    units = [check_hidden(activation, f"{path}: layer {layer.name!r}") for layer, activation in pairs]
    if output not in _KEEP_ORDER:
        raise InputError(
            f"{path}: layer {dense[-1].name!r}: output activation {output!r}; expected one that keeps the "
            f"largest output the largest: {', '.join(sorted(_KEEP_ORDER))}"
        )
    if output != "linear":
        notes.append(f"{output} of the outputs left out: the largest stays the largest")
    return ModelPlan(
        tuple(_as_dense(layer, numbers[layer.name]) for layer in dense),
        hidden_of(units),
        output,
        chain.offset,
        tuple(notes),
    )


def _as_dense(layer: _Entry, number: int) -> DenseEntry:
    # output_dim and bias are Keras 1's
    settings = layer.settings
    units = settings.get("units", settings.get("output_dim"))
    return DenseEntry(layer.name, number, bool(settings.get("use_bias", settings.get("bias", True))), units)


def _keeps_pixels(layer: _Entry) -> bool:
    """Whether a layer hands on its inputs in their order, as images are flattened here."""
    if layer.kind == "Reshape":
        return len(layer.settings["target_shape"]) == 1
    return layer.kind == "InputLayer" or (
        layer.kind == "Flatten" and layer.settings.get("data_format") != "channels_first"
    )


def _layer(entry: dict[str, Any], path: Path) -> _Entry:
    """Layer of an entry in the description; one that is not Keras's own is refused."""
    name, kind = entry["config"]["name"], entry["class_name"]
    if ">" in str(entry.get("registered_name")) or not str(entry.get("module", "keras")).startswith("keras"):
        raise InputError(f"{path}: layer {name!r} is a {kind} of the user's own, which is not run; {_EXPECTED}")
    sources = tuple(source for source, *_ in _places(entry.get("inbound_nodes", [])))
    return _Entry(name, kind, entry["config"], sources)


def _dense(layers: list[_Entry]) -> list[_Entry]:
    # Keras numbers a kind of layer in the order of the list, whatever the names.
    return [layer for layer in layers if layer.kind == "Dense"]


def _chain(layers: list[_Entry], outputs: list[str], path: Path) -> list[_Entry]:
    """Layers from the input to the output of a functional model."""
    followers: dict[str, list[_Entry]] = {}
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


def _activation(setting: Any) -> str:
    """Name of the activation in a layer's settings, where it is a name, a description with a name, or null."""
    if setting is None:
        return "linear"
    if isinstance(setting, dict):
        setting = setting["config"] if isinstance(setting.get("config"), str) else setting["class_name"]
    return str(setting)


def _offset(settings: dict[str, Any], where: str) -> float:
    """Offset of a Rescaling layer: 0 or -1, others are refused."""
    scale, offset = settings["scale"], settings.get("offset", 0.0)
    if not (isinstance(scale, int | float) and scale > 0 and offset in (0, -1)):
        raise InputError(
            f"{where}: scale {scale}, offset {offset}: expected a scale with offset 0 (to 0..1) or "
            "-1 (to -1..1); train on scaled images instead"
        )
    return float(offset)
