"""A Keras model's description of itself (JSON): which layers, in which order, with which settings.

It is read as data; nothing that it names is made or run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analog_fhn.errors import InputError, shown

_MODELS = ("Sequential", "Functional", "Model")
_DEEPEST = 16
_MOST_LAYERS = 5000


@dataclass(frozen=True)
class Entry:
    """One layer of the description.

    Parameters
    ----------
    name, kind
        The layer's name, and that of its class.
    settings
        Its configuration.
    sources
        Names of the layers that its inputs come from.
    groups
        The groups of a file of Keras 3 that lead to its weights: for each model that it is in, and for the layer
        itself, the class in Keras's spelling and the number among those of that class in the list.
    models
        Names of the models in the model that it is in, the outermost first.
    """

    name: str
    kind: str
    settings: dict[str, Any]
    sources: tuple[str, ...]
    groups: tuple[tuple[str, int], ...]
    models: tuple[str, ...]

    @property
    def at(self) -> str:
        """The layer as messages name it."""
        return f"layer {self.name!r} ({self.kind})"


@dataclass(frozen=True)
class ModelPlan:
    """The chain of layers that a model is.

    Parameters
    ----------
    layers
        From the input to the output, those of models in the model among them.
    shape
        Sizes of an input without the axis of the images; None: the file does not say them.
    """

    layers: tuple[Entry, ...]
    shape: tuple[int, ...] | None


def plan(model: dict[str, Any], path: Path) -> ModelPlan:
    """Chain of layers in a model's description.

    Parameters
    ----------
    model
        Content of config.json, or of the attribute `model_config` of an HDF5 file.

    Raises
    ------
    InputError
        If the model is more than a chain of Keras's own layers, or the size of its input is open.
    """
    kind = model["class_name"]
    if kind not in _MODELS:
        raise InputError(f"{path}: holds a {kind}; expected a Sequential or functional model of Keras")
    layers = tuple(_layers(model, path, (), ()))
    return ModelPlan(layers, _input_shape(model, layers, path))


def _layers(
    model: dict[str, Any], path: Path, groups: tuple[tuple[str, int], ...], models: tuple[str, ...]
) -> Iterator[Entry]:
    """Layers of a model in the order of the data, with those of models in it."""
    config = model["config"]
    # Keras up to 2.2.2 wrote the list alone
    entries = config if isinstance(config, list) else config["layers"]
    if len(groups) > _DEEPEST or len(entries) > _MOST_LAYERS:
        raise InputError(f"{path}: models in models, or {len(entries)} layers; expected fewer")
    counts: dict[str, int] = {}
    layers, inner = [], {}
    for entry in entries:
        # Keras numbers a kind of layer in the order of the list, whatever the names.
        kind = _spelling(str(entry["class_name"]))
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        layer = _layer(entry, path, (*groups, (kind, number)), models)
        layers.append(layer)
        inner[layer.name] = entry
    if model["class_name"] != "Sequential":
        layers = _chain(layers, [name for name, *_ in _places(config["output_layers"])], path)
    for layer in layers:
        if layer.kind in _MODELS:
            yield from _layers(inner[layer.name], path, layer.groups, (*models, layer.name))
        else:
            yield layer


def _layer(entry: dict[str, Any], path: Path, groups: tuple[tuple[str, int], ...], models: tuple[str, ...]) -> Entry:
    """Layer of an entry in the description; one that is not Keras's own is refused."""
    # early Keras gave a model in a model as a list, with its name beside it
    config = entry["config"]
    settings = config if isinstance(config, dict) else {}
    name, kind = str(settings.get("name", entry.get("name", ""))), entry["class_name"]
    if ">" in str(entry.get("registered_name")) or not str(entry.get("module", "keras")).startswith("keras"):
        raise InputError(
            f"{path}: layer {name!r} is a {kind} of the user's own, which is not run; expected Keras's own layers"
        )
    sources = tuple(source for source, *_ in _places(entry.get("inbound_nodes", [])))
    return Entry(name, kind, settings, sources, groups, models)


def _chain(layers: list[Entry], outputs: list[str], path: Path) -> list[Entry]:
    """Layers from the input to the output of a functional model."""
    followers: dict[str, list[Entry]] = {}
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


def _input_shape(model: dict[str, Any], layers: tuple[Entry, ...], path: Path) -> tuple[int, ...] | None:
    """Sizes of an input without the axis of the images."""
    stated = [layers[0].settings.get(key) for key in ("batch_shape", "batch_input_shape")] if layers else []
    config = model["config"]
    stated.append(config.get("build_input_shape") if isinstance(config, dict) else None)
    shape = next((shape for shape in stated if isinstance(shape, list) and len(shape) > 1), None)
    if shape is None:
        return None
    if any(type(size) is not int or size < 1 for size in shape[1:]):
        raise InputError(
            f"{path}: the model takes inputs of shape {shown(shape)}; expected fixed sizes but for the first: save it "
            "with the size of your images"
        )
    return tuple(shape[1:])


def _spelling(kind: str) -> str:
    """Name of a class as Keras spells it in files: `Conv2D` is `conv2d`, `BatchNormalization` `batch_normalization`."""
    kind = re.sub(r"\W+", "", kind)
    kind = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", kind).lower()


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
