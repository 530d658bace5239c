"""Layers that are to be trained: in a few words, as typed objects, or those of a network that is trained on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import isqrt, prod
from typing import Any

import numpy as np

from analog_fhn.data import Dataset
from analog_fhn.errors import InputError, shown
from analog_fhn.network import Convolution, Dense, Layer, Network, check_hidden
from analog_fhn.neuron import FloatArray
from analog_fhn.patches import AveragePool, Pair, Patches, Shape, fronts_between, held_between, same_padding
from analog_fhn.readout import Activation
from analog_fhn.weights.ceilings import with_ceilings

_CONVOLUTION = re.compile(r"conv(\d{1,9})@(\d{1,9})x(\d{1,9})(?:/(\d{1,9})(?:x(\d{1,9}))?)?")
_MEAN = re.compile(r"mean(\d{1,9})x(\d{1,9})")
_DENSE = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class DenseLayer:
    """A hidden layer of `n_out` neurons, each of which sees all values before it.

    Parameters
    ----------
    n_out
        Number of neurons.
    unit
        "sigmoid", "tanh" or "relu".
    """

    n_out: int
    unit: Activation = "sigmoid"

    def __str__(self) -> str:
        return f"{self.n_out} {self.unit}"


@dataclass(frozen=True)
class ConvolutionLayer:
    """A convolution with units behind it.

    Parameters
    ----------
    n_out
        Number of channels that it makes.
    size, strides
        Lines and places of a patch; distance from patch to patch, down and along.
    same
        Whether zeros are added around the values so that there is a patch for each of them, as many below and on the
        right as above and on the left, or one more; with strides for each line and place that they come to.
    unit
        "sigmoid", "tanh" or "relu".
    """

    n_out: int
    size: Pair
    strides: Pair = (1, 1)
    same: bool = False
    unit: Activation = "sigmoid"

    def __str__(self) -> str:
        down, along = self.strides
        stride = "" if self.strides == (1, 1) else f"/{down}" if down == along else f"/{down}x{along}"
        return f"conv{self.n_out}@{self.size[0]}x{self.size[1]}{stride}{' same' * self.same} {self.unit}"


@dataclass(frozen=True)
class MeanLayer:
    """Means over windows of so many lines and places that stand side by side, channel by channel."""

    size: Pair

    def __str__(self) -> str:
        return f"mean{self.size[0]}x{self.size[1]}"


LayerSpec = DenseLayer | ConvolutionLayer | MeanLayer


def read_layers(text: str) -> tuple[LayerSpec, ...]:
    """Layers of a text such as ``conv8@5x5/2 relu, mean2x2, conv16@3x3 same tanh, 64 relu``.

    Convolutions are channels @ lines x places of a patch, with the stride behind / if it is not 1 (down and along:
    /2x1), and ``same`` if zeros are added around the values; ``meanHxW`` are means; a number is a dense layer. Behind a
    convolution or a number may stand its unit, relu, tanh or sigmoid, which it is otherwise.

    Raises
    ------
    InputError
        Naming the part that is not understood.
    """
    return tuple(_read_layer(part.split(), text) for part in text.split(","))


def _read_layer(words: list[str], text: str) -> LayerSpec:
    name, rest = (words[0], words[1:]) if words else ("", [])
    convolution, mean = _CONVOLUTION.fullmatch(name), _MEAN.fullmatch(name)
    same = convolution is not None and "same" in rest
    if same:
        rest.remove("same")
    if len(rest) > 1 or (mean and rest) or not (convolution or mean or _DENSE.fullmatch(name)):
        raise InputError(
            f"layers {shown(text)}: {shown(' '.join(words))}: expected conv8@5x5, conv8@5x5/2 same, mean2x2 or 64, "
            "behind a convolution or a number relu, tanh or sigmoid"
        )
    unit = check_hidden(rest[0] if rest else "sigmoid", f"layers {shown(text)}")
    if mean:
        return MeanLayer((int(mean[1]), int(mean[2])))
    if convolution:
        n_out, lines, places, down = (int(convolution[k] or 1) for k in (1, 2, 3, 4))
        return ConvolutionLayer(n_out, (lines, places), (down, int(convolution[5] or down)), same, unit)
    return DenseLayer(int(name), unit)


@dataclass(frozen=True)
class PlannedMap:
    """A linear map that is to be trained, and the unit behind it.

    Parameters
    ----------
    n_in, n_out
        Shape of its weights; n_in of a convolution is the number of values of a patch.
    unit, ceiling, patches
        As in `analog_fhn.network.Dense` and `Convolution`; the ceiling of a relu may still be unknown (None).
    """

    n_in: int
    n_out: int
    unit: Activation | None = None
    ceiling: float | None = None
    patches: Patches | None = None

    @property
    def n_positions(self) -> int:
        """How many times it is used on an image."""
        return 1 if self.patches is None else self.patches.n_positions

    @property
    def n_values(self) -> int:
        """Number of values that it makes of an image: outputs at all positions."""
        return self.n_out * self.n_positions

    def layer(self, weights: FloatArray, bias: FloatArray | None) -> Dense:
        """Layer of a network with these arrays."""
        if self.patches is None:
            return Dense(weights, bias, self.unit, "tanh", self.ceiling)
        return Convolution(weights, bias, self.unit, "tanh", self.ceiling, self.patches)


@dataclass(frozen=True)
class Plan:
    """The layers of a network that is to be trained.

    Parameters
    ----------
    stack
        Linear maps, the output layer last, and means in front of them.
    settings
        How the layers were asked for, ready for JSON.
    """

    stack: tuple[PlannedMap | AveragePool, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        *,
        n_hidden: int | Sequence[int] | None = None,
        hidden: str | Sequence[str] | None = None,
        layers: str | Sequence[LayerSpec] | None = None,
        shape: Shape | None = None,
        start: Network | None = None,
    ) -> Plan:
        """Layers from the arguments of the functions that train.

        Parameters
        ----------
        dataset
            Images and classes.
        n_hidden
            Number of neurons of the hidden layer, or of each; None: 100.
        hidden
            Unit of all hidden layers, or one for each; None: sigmoid.
        layers
            Hidden layers, as text (`read_layers`) or objects, in place of `n_hidden` and `hidden`.
        shape
            Lines, places and channels of an image; None: square ones of one channel. Only convolutions and means ask
            for it.
        start
            Network whose layers these are unless `n_hidden` or `layers` are given, its ceilings too.

        Raises
        ------
        InputError
            If there is no layer, a unit is unknown, numbers do not fit together, or convolutions do not fit the images.
        """
        if layers is not None and (n_hidden is not None or hidden is not None):
            raise InputError("layers beside n_hidden or hidden: expected the one or the other")
        n_inputs = dataset.images.shape[1]
        if layers is None and n_hidden is None and start is not None:
            if shape is not None:
                raise InputError(f"shape {shown(shape)}: expected none beside the layers of a start")
            own = cls.of_network(start)
            return own if hidden is None else own.with_units(hidden)
        if layers is None:
            sizes, units = hidden_sizes(100 if n_hidden is None else n_hidden, "sigmoid" if hidden is None else hidden)
            described: Sequence[LayerSpec] = [DenseLayer(*one) for one in zip(sizes, units, strict=True)]
            settings = _sizes_settings(sizes, units)
        else:
            described = read_layers(layers) if isinstance(layers, str) else tuple(layers)
            settings = {}
        stack = _stacked(described, n_inputs, shape, dataset)
        plan = cls((*stack, PlannedMap(_n_values(stack, n_inputs), dataset.n_classes)), settings)
        if layers is None:
            return plan
        said = {"layers": ", ".join(map(str, described)), "hidden": _one_or_all(plan.units)}
        return replace(plan, settings=said | ({} if plan.dense else {"shape": list(plan.shape)}))

    @classmethod
    def of_network(cls, network: Network) -> Plan:
        """The layers of a network."""
        stack = tuple(
            layer
            if isinstance(layer, AveragePool)
            else PlannedMap(layer.n_in, layer.n_out, layer.unit, layer.ceiling, layer.window)
            for layer in network.layers
            if isinstance(layer, Dense | AveragePool)
        )
        plan = cls(stack)
        if plan.dense:
            return cls(stack, _sizes_settings([one.n_out for one in plan.hidden], plan.units))
        return cls(stack, {"layers": network.sizes_text, "hidden": _one_or_all(plan.units)})

    @property
    def maps(self) -> tuple[PlannedMap, ...]:
        """The linear maps, the output layer last."""
        return tuple(one for one in self.stack if isinstance(one, PlannedMap))

    @property
    def hidden(self) -> tuple[PlannedMap, ...]:
        """The linear maps with units behind them."""
        return self.maps[:-1]

    @property
    def units(self) -> tuple[Activation, ...]:
        """Units of the hidden layers."""
        return tuple(one.unit for one in self.hidden if one.unit is not None)

    @property
    def dense(self) -> bool:
        """Whether each map is used once, on all values before it."""
        return all(isinstance(one, PlannedMap) and one.patches is None for one in self.stack)

    @property
    def shape(self) -> Shape:
        """Lines, places and channels of an image; of one that dense layers see first (1, 1, n)."""
        first = self.stack[0]
        at = first.patches if isinstance(first, PlannedMap) else first
        return (1, 1, self.maps[0].n_in) if at is None else at.shape

    @property
    def n_inputs(self) -> int:
        """Number of values of an image."""
        return prod(self.shape)

    @property
    def text(self) -> str:
        """Sizes of dense layers, 784-100-10; of others the layers in words."""
        if self.dense:
            return "-".join(map(str, (self.n_inputs, *(one.n_out for one in self.maps))))
        return str(self.settings["layers"])

    @property
    def held(self) -> tuple[bool, ...]:
        """Whether each hidden layer's activations are held; see `analog_fhn.network.Network.held`."""
        return held_between(fronts_between(one if isinstance(one, AveragePool) else one.patches for one in self.stack))

    @property
    def shapes(self) -> list[Any]:
        """What tells plans apart whose units and ceilings are alike."""
        return [(one.n_in, one.n_out, one.patches) if isinstance(one, PlannedMap) else one for one in self.stack]

    def with_units(self, hidden: str | Sequence[str]) -> Plan:
        """Copy whose hidden layers have these units, all one or each its own; see `hidden_sizes`."""
        _, units = hidden_sizes([one.n_out for one in self.hidden], hidden)
        return self._with("unit", units)

    def with_ceilings(self, ceilings: float | Sequence[float] | None, start: Network | None) -> Plan:
        """Copy whose relus have these ceilings.

        Parameters
        ----------
        ceilings
            One for all relus, or one for each; None: those of `start`.
        start
            Network of these layers; None: relus keep what they have.

        Raises
        ------
        InputError
            For numbers out of range, or another number of them.
        """
        if ceilings is None:
            return self if start is None else self._with("ceiling", [one.ceiling for one in start.hidden_layers])
        nothing = np.empty((0, 0))
        bare = [one.layer(nothing, None) for one in self._with("ceiling", [None] * len(self.hidden)).hidden]
        found, _ = with_ceilings(bare, ceilings, None)
        return self._with("ceiling", [layer.ceiling for layer in found if isinstance(layer, Dense)])

    def _with(self, name: str, values: Sequence[Any]) -> Plan:
        """Copy whose hidden layers have these values of a field."""
        each = iter(values)
        stack = [
            replace(one, **{name: next(each)}) if isinstance(one, PlannedMap) and one.unit is not None else one
            for one in self.stack
        ]
        return replace(self, stack=tuple(stack))

    def filled(self, weights: Sequence[FloatArray], biases: Sequence[FloatArray | None]) -> tuple[Layer, ...]:
        """Layers of a network with these arrays in its linear maps."""
        arrays = iter(list(zip(weights, biases, strict=True)))
        return tuple(one.layer(*next(arrays)) if isinstance(one, PlannedMap) else one for one in self.stack)


def hidden_sizes(
    n_hidden: int | Sequence[int], hidden: str | Sequence[str]
) -> tuple[tuple[int, ...], tuple[Activation, ...]]:
    """Numbers of neurons, and units, of hidden layers of dense units.

    Parameters
    ----------
    n_hidden
        Number of hidden neurons, or of each hidden layer's.
    hidden
        Unit of all hidden layers, or one for each.

    Raises
    ------
    InputError
        If there is no layer or no neuron, a unit is unknown, or their numbers differ.
    """
    sizes = (n_hidden,) if isinstance(n_hidden, int) else tuple(n_hidden)
    if not sizes:
        raise InputError("n_hidden is empty: expected at least one hidden layer")
    units = (hidden,) * len(sizes) if isinstance(hidden, str) else tuple(hidden)
    if len(units) != len(sizes):
        raise InputError(f"hidden names {len(units)} units of {len(sizes)} hidden layers; expected one, or as many")
    for size in sizes:
        if size < 1:
            raise InputError(f"n_hidden = {size}: expected at least 1")
    return sizes, tuple(check_hidden(unit, "training") for unit in units)


def _stacked(
    layers: Sequence[LayerSpec], n_inputs: int, shape: Shape | None, dataset: Dataset
) -> tuple[PlannedMap | AveragePool, ...]:
    """Hidden layers behind images of so many values."""
    if all(isinstance(layer, MeanLayer) for layer in layers):
        raise InputError("layers without units: expected at least one convolution or dense layer")
    now: Shape | None = None
    if not isinstance(layers[0], DenseLayer):
        now = _image_shape(n_inputs, shape, dataset)
    elif shape is not None:
        raise InputError(f"shape {shown(shape)}: expected none, for the first layer is dense ({layers[0]})")
    stack: list[PlannedMap | AveragePool] = []
    n = n_inputs
    for layer in layers:
        if isinstance(layer, MeanLayer | ConvolutionLayer) and now is None:
            raise InputError(f"layer {layer} behind a dense layer, whose outputs are no image; expected it before that")
        try:
            one = _resolved(layer, n, now)
        except InputError as error:
            raise InputError(f"layer {layer}: {error}") from None
        stack.append(one)
        if isinstance(one, AveragePool):
            now, n = one.output_shape, one.n_outputs
        else:
            n = one.n_values
            now = None if one.patches is None else (*one.patches.positions, one.n_out)
    return tuple(stack)


def _resolved(layer: LayerSpec, n: int, shape: Shape | None) -> PlannedMap | AveragePool:
    """The layer behind n values, of convolutions and means of this shape."""
    if isinstance(layer, MeanLayer):
        assert shape is not None
        return AveragePool(shape, layer.size, layer.size)
    if not isinstance(layer, DenseLayer | ConvolutionLayer):
        raise InputError("expected a DenseLayer, ConvolutionLayer or MeanLayer")
    if type(layer.n_out) is not int or layer.n_out < 1:
        raise InputError(f"{shown(layer.n_out)} outputs; expected a whole number from 1")
    unit = check_hidden(layer.unit, "training")
    if isinstance(layer, DenseLayer):
        return PlannedMap(n, layer.n_out, unit)
    assert shape is not None
    for name, pair in (("size", layer.size), ("strides", layer.strides)):
        if not isinstance(pair, list | tuple) or len(pair) != 2 or any(type(n) is not int or n < 1 for n in pair):
            raise InputError(f"{name} {shown(pair)}; expected two whole numbers from 1")
    padding = same_padding(shape, layer.size, layer.strides) if layer.same else ((0, 0), (0, 0))
    patches = Patches(shape, layer.size, layer.strides, padding)
    return PlannedMap(patches.n_rows, layer.n_out, unit, None, patches)


def _image_shape(n_inputs: int, shape: Shape | None, dataset: Dataset) -> Shape:
    """Shape of the images, as it is given, or of square ones of one channel."""
    if shape is None:
        side = isqrt(n_inputs)
        if side * side != n_inputs:
            raise InputError(
                f"{dataset.source}: images of {n_inputs} values, which make no square of one channel; say how many "
                "lines, places and channels they have (--shape H,W,C; in Python shape=(H, W, C))"
            )
        return side, side, 1
    sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
    if len(sizes) != 3 or any(type(n) is not int or n < 1 for n in sizes) or prod(sizes) != n_inputs:
        raise InputError(
            f"shape {shown(shape)}: expected lines, places and channels of the images of {dataset.source}, whose "
            f"product is {n_inputs}"
        )
    return sizes[0], sizes[1], sizes[2]


def _n_values(stack: Sequence[PlannedMap | AveragePool], n_inputs: int) -> int:
    """Number of values that layers hand on."""
    if not stack:
        return n_inputs
    last = stack[-1]
    return last.n_outputs if isinstance(last, AveragePool) else last.n_values


def _sizes_settings(sizes: Sequence[int], units: Sequence[Activation]) -> dict[str, Any]:
    return {"n_hidden": sizes[0] if len(sizes) == 1 else list(sizes), "hidden": _one_or_all(units)}


def _one_or_all(values: Sequence[Any]) -> Any:
    """One value where all are alike, for JSON."""
    return values[0] if len(set(values)) == 1 else list(values)
