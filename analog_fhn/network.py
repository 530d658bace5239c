"""The network as mathematics, and its `.npz` file: arrays w0, b0, w1, ... and a JSON string `meta`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Grid, Shown
from analog_fhn._support.files import new_file
from analog_fhn._support.hashing import sha256_of_arrays
from analog_fhn._support.json_text import typed
from analog_fhn._support.npz import read_npz, reading, take_meta
from analog_fhn._support.words import counted
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FHN, Coefficients, FloatArray, Protocol, trajectory
from analog_fhn.patches import PLAIN, AveragePool, Front, Patches, fronts_between, held_between
from analog_fhn.readout import Activation, Readout, recentring

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Tanh = Literal["drive", "input"]
Behind = Literal["linear", "sigmoid"]

FORMAT = 2
_READ = (1, 2)

_GROUP = 50  # images whose patches are taken at a time: they stay in the cache
_LARGEST = 1e30  # of an input: sums of inputs stay within the range of single precision
_LARGEST_SUM = 1e150  # of a layer: its square is still finite in double precision


@dataclass(frozen=True, eq=False, repr=False)
class Dense:
    """A linear map, and the unit behind it: ``z = h W + b``.

    Parameters
    ----------
    weights
        Shape (n_in, n_out).
    bias
        Shape (n_out,); None: no bias.
    unit
        Activation that the weights were trained with, "sigmoid", "tanh" or "relu", in whose place an FHN neuron stands;
        None: there is none, which makes it the output layer.
    drive
        How z drives the neurons: within bounds as the unit asks, ``I = gamma tanh(slope z)`` or for a relu
        ``I = gamma (2 min(max(slope z/ceiling, 0), 1) - 1)`` ("tanh"), or ``I = gamma z`` ("linear"), which has no
        bound. The paper can be read in both ways.
    ceiling
        Largest activation of a relu, which is ``min(max(z, 0), ceiling)``; None for other units.
    """

    weights: FloatArray
    bias: FloatArray | None = None
    unit: Activation | None = None
    drive: Literal["tanh", "linear"] = "tanh"
    ceiling: float | None = None

    def __repr__(self) -> str:
        unit = "no unit" if self.unit is None else _unit_text(self)
        return f"<{type(self).__name__}: {self.n_in} to {self.n_out}, {unit}{_bias_text(self)}>"

    @property
    def n_in(self) -> int:
        """Number of inputs."""
        return len(self.weights)

    @property
    def n_out(self) -> int:
        """Number of outputs: hidden neurons, or classes."""
        return int(self.weights.shape[1])

    @property
    def shift(self) -> FloatArray:
        """The bias, zeros where there is none; shape (n_out,)."""
        return np.zeros(self.n_out) if self.bias is None else self.bias

    @property
    def window(self) -> Patches | None:
        """Patches of the layer before that it is used on; None: it is used once, on all values."""
        return None

    @property
    def n_values(self) -> int:
        """Number of values that it makes of an image: outputs at all positions."""
        return self.n_out * (1 if self.window is None else self.window.n_positions)

    def pre_activations(self, inputs: NDArray[np.floating]) -> FloatArray:
        """``z = h W + b``, shape (n, n_out), for inputs (n, n_in); of a convolution a patch is such an input."""
        z: FloatArray = np.asarray(inputs, dtype=np.float64) @ self.weights
        return z if self.bias is None else z + self.bias

    def activation(self, z: FloatArray, *, ceiling: bool = True) -> FloatArray:
        """What the trained unit makes of pre-activations of any shape; `ceiling` False: of a relu without its ceiling.

        Raises
        ------
        ValueError
            If there is no unit.
        """
        if self.unit is None:
            raise ValueError("an output layer has no unit; expected a hidden layer")
        if self.unit == "relu":
            return np.clip(z, 0.0, self.ceiling if ceiling else None)
        return _UNITS[self.unit](z)


@dataclass(frozen=True, eq=False, repr=False)
class Convolution(Dense):
    """A linear map that is used on each patch of the layer before, and the unit behind it.

    On a chip it is one array with one cell per output channel, used patch by patch.

    Parameters
    ----------
    weights
        Shape (lines x places x channels of a patch, n_out): the kernel, its values in the order of a patch's.
    bias, unit, drive, ceiling
        As for `Dense`.
    patches
        Where it is used.

    Raises
    ------
    InputError
        If the patches are missing.
    """

    patches: Patches | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.patches, Patches):
            raise InputError(f"convolution with patches {shown(self.patches)}: expected Patches")

    @classmethod
    def of_kernel(
        cls, kernel: FloatArray, patches: Patches, bias: FloatArray | None = None, unit: Activation | None = None,
        ceiling: float | None = None,
    ) -> Convolution:  # fmt: skip
        """Convolution of a kernel of shape (lines, places, channels, n_out), as Keras has it.

        Raises
        ------
        InputError
            If the kernel's shape is not that of the patches.
        """
        expected = (*patches.size, patches.shape[2])
        if np.ndim(kernel) != 4 or kernel.shape[:3] != expected:
            raise InputError(f"kernel has shape {np.shape(kernel)}: expected {expected} and a number of outputs")
        return cls(kernel.reshape(-1, kernel.shape[3]), bias, unit, "tanh", ceiling, patches)

    @property
    def window(self) -> Patches | None:
        """Patches of the layer before that it is used on."""
        return self.patches


@dataclass(frozen=True)
class Pointwise:
    """Units without weights that act on each value at each instant, with which section 4 of the paper can be read.

    Parameters
    ----------
    function
        "tanh" in front of the first linear map, or "sigmoid" between the rows and the output layer.
    """

    function: Literal["tanh", "sigmoid"]

    def __call__(self, values: FloatArray) -> FloatArray:
        """Their outputs, of the shape of `values`."""
        return _UNITS[self.function](values)


def _logistic(z: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * z)))


_UNITS: dict[str, Callable[[FloatArray], FloatArray]] = {"tanh": np.tanh, "sigmoid": _logistic}

Layer = Dense | Pointwise | AveragePool


def _unit_text(layer: Dense) -> str:
    unit = layer.unit or "none, the scores"
    return unit if layer.ceiling is None else f"{unit} up to {layer.ceiling:.4g}"


def _bias_text(layer: Dense) -> str:
    return "" if layer.bias is None else ", bias"


def _layer_row(layer: Layer) -> tuple[object, ...]:
    """Row of a network's table."""
    if isinstance(layer, AveragePool):
        return f"mean of {layer.size[0]} x {layer.size[1]}", None, None, None, None
    if isinstance(layer, Pointwise):
        return "units without weights", None, layer.function, None, None
    at, shape = layer.window, f"{layer.n_in} x {layer.n_out}"
    name = "dense" if at is None else f"convolution {at.size[0]} x {at.size[1]}"
    return name, shape, _unit_text(layer), layer.bias is not None, float(np.abs(layer.weights).max())


@dataclass(frozen=True, eq=False, repr=False)
class Network(Shown):
    """Trained layers, and how the FHN neurons that replace their units are run and read.

    Parameters
    ----------
    layers
        Two `Dense` layers (or `Convolution`) or more, of which all but the last have a unit, with `AveragePool` in
        front of any of them; with one hidden `Dense` layer also a `Pointwise("tanh")` in front of the first, which is
        then driven linearly, and a `Pointwise("sigmoid")` in front of the last.
    fhn
        Parameters of the FHN neurons that replace the hidden units; of layers with different units see `neurons`.
    protocol
        Settling time, control window, sampling and initial state.
    readout
        "vote" or "mean".
    recentre
        Feed the output layer the activation in the trained weights' units (True) or x itself (the paper). Layers
        between are fed the activation.
    input_range
        Smallest and largest input value of the training data.
    provenance
        How the weights came about; anything JSON can hold.

    Raises
    ------
    InputError
        Wrong shapes, NaN or infinite values, unknown activation or readout, or layers in another order.
    """

    layers: tuple[Layer, ...]
    fhn: FHN = field(default_factory=FHN)
    protocol: Protocol = field(default_factory=Protocol)
    readout: Readout = "mean"
    recentre: bool = True
    input_range: tuple[float, float] = (0.0, 1.0)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        low, high = (float(v) for v in self.input_range)
        if not (-_LARGEST <= low < high <= _LARGEST):
            raise InputError(
                f"input_range {self.input_range}: expected two numbers, low < high, at most {_LARGEST:g} in magnitude"
            )
        object.__setattr__(self, "input_range", (low, high))
        object.__setattr__(self, "layers", self._checked_layers())
        if self.readout not in get_args(Readout):
            raise InputError(f"readout {shown(self.readout)}: expected 'vote' or 'mean'")

    @classmethod
    def of_weights(
        cls,
        weights: Sequence[FloatArray],
        biases: Sequence[FloatArray | None] = (),
        hidden: str | Sequence[str] = "sigmoid",
        *,
        tanh: Tanh = "drive",
        behind: Behind = "linear",
        **settings: Any,
    ) -> Network:
        """Network of the arrays of its linear maps.

        Parameters
        ----------
        weights, biases
            One array (n_in, n_out) and one (n_out,) or None per linear map; no biases: an empty sequence.
        hidden
            Unit of all hidden layers, or one for each.
        tanh, behind
            Whether the tanh acts on the drives or on the inputs, and what stands in front of the output layer: nothing
            ("linear") or sigmoid units.
        **settings
            The other parameters of `Network`.

        Raises
        ------
        InputError
            As `Network`, and if the numbers of weights, biases and units do not fit together.
        """
        n = len(weights)
        if biases and len(biases) != n:
            raise InputError(f"network has {n} weight layers but {len(biases)} biases")
        units = [hidden] * (n - 1) if isinstance(hidden, str) else list(hidden)
        if len(units) != n - 1:
            raise InputError(
                f"network has {n} weight layers but {len(units)} units; expected {n - 1}, none behind the last"
            )
        for name, value, known in (("tanh", tanh, Tanh), ("behind", behind, Behind)):
            if value not in get_args(known):
                raise InputError(f"{name} {shown(value)}: expected {' or '.join(map(repr, get_args(known)))}")
        drive = "linear" if tanh == "input" else "tanh"
        layers: list[Any] = [
            Dense(w, biases[i] if biases else None, unit, drive if i == 0 else "tanh")  # type: ignore[arg-type]
            for i, (w, unit) in enumerate(zip(weights, [*units, None], strict=True))
        ]
        if behind == "sigmoid":
            layers.insert(len(layers) - 1, Pointwise("sigmoid"))
        if tanh == "input":
            layers.insert(0, Pointwise("tanh"))
        return cls(tuple(layers), **settings)

    def _checked_layers(self) -> tuple[Layer, ...]:
        n = sum(isinstance(layer, Dense) for layer in self.layers)
        if n < 2:
            raise InputError(f"network has {n} weight layers; expected at least 2 (hidden and output)")
        checked: list[Layer] = []
        number = 0
        for layer in self.layers:
            if isinstance(layer, Dense):
                previous = next((known for known in reversed(checked) if isinstance(known, Dense)), None)
                layer = _checked_dense(layer, number, number == n - 1, previous, self.input_range)
                number += 1
            elif not isinstance(layer, Pointwise | AveragePool):
                raise InputError(f"layer {shown(layer)}: expected Dense, Convolution, AveragePool or Pointwise")
            checked.append(layer)
        if isinstance(checked[-1], AveragePool):
            raise InputError("network ends with AveragePool; expected a linear map")
        _check_chain(checked)
        self._check_variants(checked)
        return tuple(checked)

    def _check_variants(self, layers: list[Layer]) -> None:
        """Refuse units without weights that stand elsewhere than the two readings of the paper have them."""
        places = {i: layer for i, layer in enumerate(layers) if isinstance(layer, Pointwise)}
        linear = [layer for layer in layers if isinstance(layer, Dense) and layer.drive == "linear"]
        first = layers[0] if layers[0] == Pointwise("tanh") else None
        allowed = {0: Pointwise("tanh"), len(layers) - 2: Pointwise("sigmoid")}
        if any(allowed.get(i) != layer for i, layer in places.items()) or (first is None) != (not linear):
            raise InputError(
                "units without weights: expected tanh in front of the first linear map, which is then driven linearly, "
                "and sigmoid in front of the last"
            )
        n_hidden = len(layers) - len(places) - 1  # pools count: beside units without weights there are none
        if n_hidden > 1 and places:
            tanh = "input" if first else "drive"
            behind = "sigmoid" if len(layers) - 2 in places else "linear"
            raise InputError(
                f"network has {n_hidden} hidden layers, tanh {tanh!r}, behind {behind!r}; "
                "expected one hidden layer, or tanh 'drive' and behind 'linear'"
            )
        if places and any(isinstance(layer, Convolution) or getattr(layer, "unit", None) == "relu" for layer in layers):
            raise InputError("units without weights beside a convolution or a relu; expected Dense of sigmoid or tanh")

    def _card(self) -> Card:
        fhn, times, (low, high) = self.fhn, self.protocol, self.input_range
        facts = {
            "neurons": f"{self.n_hidden}: gamma {fhn.gamma:g}, a {fhn.a:g}, eps {fhn.eps:g}, slope {fhn.slope:g}",
            "times": f"settle {times.settle:g} T, control {times.control:g} T",
            "readout": f"{self.readout}, {'recentred' if self.recentre else 'of x itself'}",
            "inputs": f"{self.n_inputs}, {low:g} to {high:g}",
        }
        rows = [_layer_row(layer) for layer in self.layers]
        grid = Grid(("layer", "weights", "unit", "bias", "largest weight"), rows)
        return Card(f"Network {self.sizes_text}", f"{self.hidden}, {counted(self.n_hidden, 'neuron')}", facts, (grid,))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Phase plane of an FHN neuron of the first layer: nullclines and orbits at three drives of its range.

        Parameters
        ----------
        ax
            Axes to draw on; None: those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        fhn, on = self.neurons[0], plots.canvas(ax)
        neuron = Coefficients.ideal(fhn, 1)
        drives = [share * abs(fhn.gamma) for share in (-1.0, -0.5, 1.0)]
        times = np.linspace(0.0, 20.0, 2001)  # T
        runs = {drive: trajectory(neuron, drive, times, self.protocol.x0, self.protocol.y0) for drive in drives}
        title = f"FHN neuron, gamma {fhn.gamma:g}, a {fhn.a:g}, eps {fhn.eps:g}"
        return plots.only_axes(plots.phase_plane(neuron, drives, runs, title, on), on)

    @property
    def dense(self) -> tuple[Dense, ...]:
        """The linear maps, the output layer last."""
        return tuple(layer for layer in self.layers if isinstance(layer, Dense))

    @property
    def hidden_layers(self) -> tuple[Dense, ...]:
        """The linear maps with a unit behind them."""
        return self.dense[:-1]

    @property
    def output(self) -> Dense:
        """The last linear map."""
        return self.dense[-1]

    @cached_property
    def fronts(self) -> tuple[Front, ...]:
        """What stands in front of each linear map."""
        return fronts_of(self.layers)

    @cached_property
    def held(self) -> tuple[bool, ...]:
        """Whether each hidden layer's activations are held until the next layer reads them.

        They are where the layer itself or the map behind it is used more than once on an image; else the next array is
        driven while the layer's neurons oscillate.
        """
        return held_between(self.fronts)

    @property
    def windows(self) -> int:
        """Settling times and control windows that an image takes, one after another, with low-passes between layers.

        See `windows_where`.
        """
        return self.windows_where(integrated=False)

    def windows_where(self, *, integrated: bool) -> int:
        """Settling times and control windows that an image takes, one after another.

        Parameters
        ----------
        integrated
            Whether each cell integrates its output over a window before the next array is read, so that every position
            of every hidden layer takes one. Else each position of a layer that is held takes one, and layers that drive
            the next array directly share one.
        """
        if integrated:
            return sum(front.n_positions for front in self.fronts[:-1])
        shared = 0 if self.held[-1] else 1
        return shared + sum(front.n_positions for front, held in zip(self.fronts, self.held, strict=False) if held)

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Weights of the linear maps, each (n_in, n_out)."""
        return tuple(layer.weights for layer in self.dense)

    @property
    def biases(self) -> tuple[FloatArray | None, ...]:
        """Biases of the linear maps, each (n_out,) or None."""
        return tuple(layer.bias for layer in self.dense)

    @property
    def units(self) -> tuple[Activation, ...]:
        """Units of the hidden layers."""
        return tuple(layer.unit for layer in self.hidden_layers if layer.unit is not None)

    @property
    def neurons(self) -> tuple[FHN, ...]:
        """FHN neurons of each hidden layer: `fhn`, whose slope is that of the first layer.

        In a layer with another unit it is as much larger or smaller as `matched_slope` of its unit.
        """
        return layer_neurons(self.fhn, self.units)

    @property
    def ceilings(self) -> tuple[float, ...]:
        """Largest activation of each hidden layer's unit."""
        return tuple(1.0 if layer.ceiling is None else layer.ceiling for layer in self.hidden_layers)

    def recentring(self, layer: int) -> tuple[float, float]:
        """Gain and offset from x to the activation of hidden layer number `layer`, from 0; see `readout.recentring`."""
        return recentring(self.units[layer], self.fhn.a, self.fhn.gamma, self.ceilings[layer])

    @property
    def hidden(self) -> str:
        """Names of the hidden layers' units, where all are alike one name."""
        return units_text(self.units)

    @property
    def inputs(self) -> Pointwise | None:
        """Units in front of the first linear map."""
        first = self.layers[0]
        return first if isinstance(first, Pointwise) else None

    @property
    def before_output(self) -> Pointwise | None:
        """Units in front of the output layer, which act on what the rows carry at each instant."""
        last = self.layers[-2]
        return last if isinstance(last, Pointwise) else None

    @property
    def tanh(self) -> Tanh:
        """Whether the tanh acts on the drives or on the inputs."""
        return "drive" if self.inputs is None else "input"

    @property
    def behind(self) -> Behind:
        """What stands in front of the output layer."""
        return "linear" if self.before_output is None else "sigmoid"

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of inputs, hidden neurons of each layer (of a convolution its channels), ..., classes."""
        return (self.n_inputs, *(layer.n_out for layer in self.dense))

    @property
    def n_inputs(self) -> int:
        """Number of values of an image."""
        return self.fronts[0].n_inputs or self.dense[0].n_in

    @property
    def n_hidden(self) -> int:
        """Number of hidden neurons: cells of all hidden layers."""
        return sum(self.layer_sizes[1:-1])

    @property
    def sizes_text(self) -> str:
        """Sizes of the layers in short: 784-100-10; convolutions as channels x lines x places of a patch."""
        words = []
        for layer in self.layers:
            if isinstance(layer, AveragePool):
                words.append(f"mean{layer.size[0]}x{layer.size[1]}")
            elif isinstance(layer, Dense):
                at = layer.window
                words.append(f"{layer.n_out}" if at is None else f"conv{layer.n_out}@{at.size[0]}x{at.size[1]}")
        front = self.fronts[0]
        first = front.pools[0] if front.pools else front.patches
        shape = (self.n_inputs,) if first is None else first.shape[: 2 if first.shape[2] == 1 else 3]
        return "-".join(["x".join(map(str, shape)), *words])

    @property
    def plain_stages(self) -> bool:
        """Whether the drive is bounded and the rows feed the output array: what a circuit is laid out for."""
        return self.inputs is None and self.before_output is None

    @property
    def stages_text(self) -> str:
        """Settings of `tanh` and `behind` as messages name them."""
        return f"tanh {self.tanh!r}, behind {self.behind!r}"

    def with_weights(self, weights: Sequence[FloatArray], biases: Sequence[FloatArray | None] = ()) -> Network:
        """Copy with other arrays in the linear maps; arguments as for `of_weights`."""
        return replace(self, layers=_filled(self.layers, weights, biases or [None] * len(weights)))

    def layer(self, index: int) -> Network:
        """Hidden layer number `index` between its two linear maps, as a network of its own with the same settings."""
        first, second = self.dense[index : index + 2]
        return replace(self, layers=(first, *self.fronts[index + 1].pools, replace(second, unit=None, ceiling=None)))

    def forward(self, images: NDArray[np.floating], *, ceilings: bool = True) -> FloatArray:
        """Scores of the plain network (no FHN neurons), shape (n_images, n_classes).

        The trained activation stands in the neurons' place. With units in front of the first or the last linear map,
        where the weights were trained with the neurons, it is the sigmoid of their backward pass,
        ``x = -a - gamma tanh(slope z)``, seen as the rows are read, with or without recentring.

        Parameters
        ----------
        images
            Shape (n_images, n_inputs).
        ceilings
            Whether a relu ends at its ceiling.
        """
        images = np.asarray(images)
        if all(front == PLAIN for front in self.fronts):
            return self._forward(images, ceilings)
        groups = [self._forward(images[k : k + _GROUP], ceilings) for k in range(0, len(images), _GROUP)]
        return np.concatenate(groups)

    def _forward(self, images: NDArray[np.floating], ceilings: bool) -> FloatArray:
        h, fronts = np.asarray(images, dtype=np.float64), iter(self.fronts)
        for layer in self.layers:
            if isinstance(layer, Pointwise):
                h = layer(h)
            elif isinstance(layer, Dense):
                h = layer.pre_activations(next(fronts).rows(h))
                if layer.unit is not None and self.plain_stages:
                    h = layer.activation(h, ceiling=ceilings)
                elif layer.unit is not None:
                    h = self._backward_pass_rows(layer.unit, h)
                h = h.reshape(len(images), -1)
        return h

    def _backward_pass_rows(self, unit: Activation, z: FloatArray) -> FloatArray:
        gain, offset = recentring(unit, self.fhn.a, self.fhn.gamma) if self.recentre else (1.0, 0.0)
        return gain * (-self.fhn.a - self.fhn.gamma * np.tanh(self.fhn.slope * z)) + offset

    def accuracy(self, images: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Share of images that the plain network (no FHN neurons) classifies as `labels`, shape (n_images,)."""
        return float(np.mean(self.forward(images).argmax(axis=1) == labels))

    def with_options(
        self,
        *,
        gamma: float | None = None,
        slope: float | None = None,
        a: float | None = None,
        eps: float | None = None,
        readout: Readout | None = None,
        recentre: bool | None = None,
        settle: float | None = None,
        control: float | None = None,
    ) -> Network:
        """Copy with the given settings changed and the others kept."""

        def given(**values: Any) -> dict[str, Any]:
            return {key: value for key, value in values.items() if value is not None}

        return replace(
            self,
            fhn=replace(self.fhn, **given(gamma=gamma, slope=slope, a=a, eps=eps)),
            protocol=replace(self.protocol, **given(settle=settle, control=control)),
            **given(readout=readout, recentre=recentre),
        )

    def paper_protocol(self) -> Network:
        """Copy with the protocol of the paper: slope 1, raw, vote, settle 1000, control 1000."""
        return self.with_options(slope=1.0, readout="vote", recentre=False, settle=1000.0, control=1000.0)

    def save(self, path: str | Path) -> None:
        """Write the network; nothing is pickled."""
        arrays = named_arrays(self.weights, self.biases)
        meta = {
            "format": FORMAT,
            "layers": [_layer_meta(layer) for layer in self.layers],
            "fhn": asdict(self.fhn),
            "protocol": asdict(self.protocol),
            "readout": {"type": self.readout, "recentre": self.recentre},
            "input_range": list(self.input_range),
            "provenance": self.provenance,
            "sha256": sha256_of_arrays(arrays),
        }
        with new_file(path) as file:
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]

    @property
    def sha256(self) -> str:
        """Hash of the weight arrays."""
        return sha256_of_arrays(named_arrays(self.weights, self.biases))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network file.

        Raises
        ------
        InputError
            Missing or foreign file, pickled content, missing keys, wrong shapes, NaN, an unsupported
            activation, another format version, or arrays that do not match their hash.
        """
        path = Path(path)
        arrays = read_npz(path, "a network")
        meta = take_meta(path, arrays, "a network file written by 'analog-fhn train' or Network.save")
        with reading(path, "a network file"):
            if meta["format"] not in _READ:
                raise InputError(f"format {shown(meta['format'])}; this version reads formats 1 and 2")
            layers = _layers_of_meta(meta) if meta["format"] == FORMAT else _layers_of_stages(meta["stages"])
            n_layers = sum(isinstance(layer, Dense) for layer in layers)
            weights = [arrays.pop(f"w{i}") for i in range(n_layers)]
            biases = [arrays.pop(f"b{i}", None) for i in range(n_layers)]
            if arrays:
                raise InputError(f"unexpected arrays {', '.join(sorted(arrays)[:8])} beside {n_layers} layers")
            network = cls(
                _filled(layers, weights, biases),
                _settings(FHN, meta["fhn"]),
                _settings(Protocol, meta["protocol"]),
                meta["readout"]["type"],
                typed(meta["readout"]["recentre"], bool, "recentre", "true or false"),
                _range(meta["input_range"]),
                typed(meta["provenance"], dict, "provenance", "names and values"),
            )
            if network.sha256 != meta["sha256"]:
                raise InputError("the arrays do not match their SHA-256; the file was altered")
        return network


def _filled(
    layers: Sequence[Layer], weights: Sequence[FloatArray], biases: Sequence[FloatArray | None]
) -> tuple[Layer, ...]:
    """The layers with these arrays in their linear maps."""
    arrays = iter(list(zip(weights, biases, strict=True)))
    filled: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Dense):
            w, b = next(arrays)
            layer = replace(layer, weights=w, bias=b)
        filled.append(layer)
    return tuple(filled)


_NO_WEIGHTS = np.empty((0, 0))


def fronts_of(layers: Iterable[Layer]) -> tuple[Front, ...]:
    """What stands in front of each linear map."""
    return fronts_between(
        layer if isinstance(layer, AveragePool) else layer.window
        for layer in layers
        if isinstance(layer, Dense | AveragePool)
    )


def _layer_meta(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, Pointwise):
        return {"kind": "pointwise", "function": layer.function}
    if isinstance(layer, AveragePool):
        return {"kind": "average_pool"} | asdict(layer)
    meta: dict[str, Any] = {"kind": "dense", "unit": layer.unit, "drive": layer.drive}
    if layer.ceiling is not None:
        meta["ceiling"] = layer.ceiling
    if isinstance(layer, Convolution):
        assert layer.patches is not None
        meta |= {"kind": "convolution", "patches": asdict(layer.patches)}
    return meta


def _layers_of_meta(meta: dict[str, Any]) -> list[Layer]:
    """Layers of a file of format 2, without their arrays."""
    expected = "a list of layers {'kind': 'dense', ...}"
    layers: list[Layer] = []
    for entry in typed(meta["layers"], list, "layers", expected):
        kind = typed(entry, dict, "layers", expected)["kind"]
        if kind == "dense":
            layers.append(Dense(_NO_WEIGHTS, None, entry["unit"], entry["drive"], entry.get("ceiling")))
        elif kind == "convolution":
            patches = Patches(**_known(Patches, entry["patches"]))
            layers.append(Convolution(_NO_WEIGHTS, None, entry["unit"], entry["drive"], entry.get("ceiling"), patches))
        elif kind == "average_pool":
            settings = {name: value for name, value in entry.items() if name != "kind"}
            typed(settings["count_padding"], bool, "count_padding", "true or false")
            layers.append(AveragePool(**_known(AveragePool, settings)))
        elif kind == "pointwise":
            layers.append(Pointwise(entry["function"]))
        else:
            raise InputError(
                f"layer of kind {shown(kind)}: expected 'dense', 'convolution', 'average_pool' or 'pointwise'"
            )
    return layers


def _known(kind: type[Any], values: Any) -> dict[str, Any]:
    """Values of all fields of a dataclass, or an `InputError`."""
    known = {f.name for f in fields(kind)}
    given = typed(values, dict, kind.__name__, "names and values")
    if given.keys() != known:
        raise InputError(f"{kind.__name__} with {', '.join(sorted(given)[:8])}; expected {', '.join(sorted(known))}")
    return dict(given)


def _layers_of_stages(stages: Any) -> list[Layer]:
    """Layers of a file of format 1, without their arrays, from what stands between them there."""
    expected = "a list of stages {'type': 'fhn', ...}"
    stages = [typed(stage, dict, "stages", expected) for stage in typed(stages, list, "stages", expected)]
    behind: list[Layer] = []
    if len(stages) == 2 and stages[0]["type"] == "fhn" and stages[1] == {"type": "sigmoid"}:
        stages, behind = stages[:1], [Pointwise("sigmoid")]
    kinds = [(stage.get("trained_as", stage["type"]), stage.get("tanh", "drive")) for stage in stages]
    if not kinds or any(kind != kinds[0] for kind in kinds):
        raise InputError(f"stages {shown(stages)} differ; expected one activation for all hidden layers")
    activation, tanh = kinds[0]
    check_hidden(activation)
    if tanh not in get_args(Tanh):
        raise InputError(f"tanh {shown(tanh)}: expected 'drive' or 'input'")
    drive: Literal["tanh", "linear"] = "linear" if tanh == "input" else "tanh"
    front: list[Layer] = [Pointwise("tanh")] if tanh == "input" else []
    hidden: list[Layer] = [Dense(_NO_WEIGHTS, None, activation, drive) for _ in kinds]
    return [*front, *hidden, *behind, Dense(_NO_WEIGHTS)]


def _checked_dense(
    layer: Dense, number: int, last: bool, previous: Dense | None, input_range: tuple[float, float]
) -> Dense:
    """The layer with its arrays in double precision.

    Raises
    ------
    InputError
        Naming the array, if it does not fit, or if a unit is missing, unknown, or behind the last layer.
    """
    w = _array(f"w{number}", layer.weights, 2)
    b = None if layer.bias is None else _array(f"b{number}", layer.bias, 1)
    if layer.window is not None and len(w) != layer.window.n_rows:
        raise InputError(
            f"w{number} has shape {w.shape}: expected {layer.window.n_rows} rows, one per value of a patch"
        )
    ceiling = 1.0 if previous is None or previous.ceiling is None else previous.ceiling
    _check_magnitudes(f"w{number}", w, b, (0.0, ceiling) if previous else input_range)
    if last and layer.unit is not None:
        raise InputError(f"network ends with a unit, {shown(layer.unit)}; expected none behind the last linear map")
    if not last:
        check_hidden(layer.unit)
    if layer.drive not in ("tanh", "linear"):
        raise InputError(f"drive {shown(layer.drive)}: expected 'tanh' or 'linear'")
    return replace(layer, weights=w, bias=b, ceiling=_checked_ceiling(layer, number))


def _checked_ceiling(layer: Dense, number: int) -> float | None:
    ceiling = layer.ceiling
    if layer.unit != "relu":
        if ceiling is not None:
            raise InputError(f"ceiling {shown(ceiling)} of layer {number}: expected one of a relu alone")
        return None
    if ceiling is None:
        raise InputError(
            f"layer {number} is a relu without a ceiling, the largest activation that its neurons are to stand for; "
            "say it, or calibrate it on training images"
        )
    if isinstance(ceiling, bool) or not isinstance(ceiling, int | float) or not 1e-30 < ceiling < _LARGEST:
        raise InputError(f"ceiling {shown(ceiling)} of layer {number}: expected a number above 0")
    return float(ceiling)


def _check_chain(layers: Sequence[Layer]) -> None:
    """Refuse layers of which one is not given as many values as it takes."""
    n: int | None = None  # values so far; None: the inputs, of which the first layer says how many there are
    number = 0
    channels = 1  # of these values
    before = ""
    for layer in layers:
        if isinstance(layer, Pointwise):
            continue
        if isinstance(layer, AveragePool):
            _check_shape(f"AveragePool behind {before or 'the inputs'}", layer.shape, n, channels, before)
            n, channels, before = layer.n_outputs, layer.shape[2], f"{before or 'the inputs'} and AveragePool"
            continue
        if layer.window is not None:
            _check_shape(f"w{number}", layer.window.shape, n, channels, before)
        elif n is not None and layer.n_in != n:
            w = layer.weights
            plain = before == f"w{number - 1}" and n == channels
            what = f"as many as {before} has columns" if plain else f"as many as {before} hands on"
            raise InputError(
                f"w{number} has shape {w.shape}: expected {n} rows, {what}"
                + (" (is it transposed, as PyTorch stores it?)" if w.shape[1] == n else "")
            )
        if layer.bias is not None and layer.bias.shape != (layer.n_out,):
            raise InputError(
                f"b{number} has shape {layer.bias.shape}: expected ({layer.n_out},), one per column of w{number}"
            )
        n, channels, before = layer.n_values, layer.n_out, f"w{number}"
        number += 1


def _check_shape(what: str, shape: tuple[int, int, int], n: int | None, channels: int, before: str) -> None:
    if n is not None and (shape[2] != channels or shape[0] * shape[1] * shape[2] != n):
        raise InputError(
            f"{what}: takes {shape[0]} x {shape[1]} values in {shape[2]} channels; {before} hands on {n} in {channels}"
        )


def _range(values: Any) -> tuple[float, float]:
    if not (isinstance(values, list) and len(values) == 2 and all(type(value) in (int, float) for value in values)):
        raise InputError(f"input_range is {shown(values)}: expected two numbers")
    return float(values[0]), float(values[1])


def check_hidden(activation: object, source: str = "network") -> Activation:
    """A hidden activation that FHN neurons can stand in for.

    Raises
    ------
    InputError
        For other activations, with the reason and what can be done.
    """
    if activation in ("sigmoid", "tanh", "relu"):
        return activation
    known = _UNBOUNDED.get(_plain(activation))
    if known is not None:
        nearest, why = known
        raise InputError(
            f"{source}: hidden activation {shown(activation)} {why}, but the mean of an FHN neuron follows a bounded, "
            f"rising curve: sigmoid, tanh or relu with a ceiling. Two ways out: read it as {nearest}, the nearest of "
            "them (import --nearest says what that costs), and train on from there (train --start), or train it anew "
            "with one of them"
        )
    raise InputError(f"{source}: hidden activation {shown(activation)}: expected 'sigmoid', 'tanh' or 'relu'")


def nearest_unit(activation: object) -> Activation | None:
    """The unit that is nearest to an activation that no neuron follows, or the activation itself; None: unknown."""
    if activation in ("sigmoid", "tanh", "relu"):
        return activation
    nearest, _ = _UNBOUNDED.get(_plain(activation), (None, ""))
    return nearest


def _plain(activation: object) -> str:
    return str(activation).lower().replace("_", "").replace("-", "")


# The nearest unit of activations that no neuron follows, and the reason.
_UNBOUNDED: dict[str, tuple[Activation, str]] = {
    "linear": ("tanh", "is unbounded"),
    "leakyrelu": ("relu", "falls without bound below 0"),
    "prelu": ("relu", "falls without bound below 0"),
    "elu": ("relu", "goes below 0 and rises without bound"),
    "selu": ("relu", "goes below 0 and rises without bound"),
    "celu": ("relu", "goes below 0 and rises without bound"),
    "gelu": ("relu", "falls and rises again, without bound"),
    "silu": ("relu", "falls and rises again, without bound"),
    "swish": ("relu", "falls and rises again, without bound"),
    "mish": ("relu", "falls and rises again, without bound"),
    "hardswish": ("relu", "falls and rises again, without bound"),
    "hardsilu": ("relu", "falls and rises again, without bound"),
    "softplus": ("relu", "is unbounded"),
    "exponential": ("relu", "is unbounded"),
    "softsign": ("tanh", "comes to its limits far more slowly than tanh"),
    "hardsigmoid": ("sigmoid", "has corners"),
    "hardtanh": ("tanh", "has corners"),
}


def matched_slope(hidden: Activation) -> float:
    """Slope at which the drive follows the trained activation: 1/2 for sigmoid, 1 for tanh and relu.

    Algebra: the logistic function of z is ``(1 + tanh(z/2))/2``; recentring does the rest.
    """
    return 0.5 if hidden == "sigmoid" else 1.0


def layer_neurons(fhn: FHN, units: Sequence[Activation]) -> tuple[FHN, ...]:
    """FHN neurons of hidden layers with these units, of which `fhn` are those of the first; see `Network.neurons`."""
    first = matched_slope(units[0])
    return tuple(replace(fhn, slope=fhn.slope * matched_slope(unit) / first) for unit in units)


def units_text(units: Sequence[str]) -> str:
    """Names of the hidden layers' units, where all are alike one name."""
    return units[0] if len(set(units)) == 1 else ", ".join(units)


def named_arrays(weights: tuple[FloatArray, ...], biases: tuple[FloatArray | None, ...]) -> dict[str, FloatArray]:
    """Arrays under their names in a file: w0, w1, ..., and b0, ... of the layers that have biases."""
    named = {f"w{i}": w for i, w in enumerate(weights)}
    return named | {f"b{i}": b for i, b in enumerate(biases) if b is not None}


def _settings(kind: type[Any], values: Any) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = typed(values, dict, f"{kind.__name__} settings", "names and numbers").keys() - known
    if unknown:
        raise InputError(
            f"unknown {kind.__name__} settings {', '.join(sorted(unknown)[:8])}; known: {', '.join(sorted(known))}"
        )
    if known - values.keys():
        raise InputError(f"{kind.__name__} settings {', '.join(sorted(known - values.keys()))} are missing")
    checked = kind(**values)  # whole numbers, too
    return kind(**{name: float(getattr(checked, name)) for name in known})


def _check_magnitudes(
    name: str, weights: FloatArray, bias: FloatArray | None, input_range: tuple[float, float]
) -> None:
    """Refuse a layer whose sums leave the range in which double precision counts, or whose weights lie below it."""
    largest, rows = float(np.abs(weights).max()), len(weights)
    if 0.0 < largest < 1.0 / _LARGEST_SUM:
        raise InputError(
            f"{name}: the largest weight is {largest:.3g}; expected one of at least {1.0 / _LARGEST_SUM:g}, or all 0"
        )
    summed = largest / _LARGEST_SUM * rows * max(1.0, *map(abs, input_range))
    if summed > 1.0 or (bias is not None and float(np.abs(bias).max()) > _LARGEST_SUM):
        raise InputError(
            f"{name}: weights up to {largest:.3g} for inputs from {input_range[0]:g} to {input_range[1]:g}"
            + ("" if bias is None else f", biases up to {float(np.abs(bias).max()):.3g}")
            + f"; expected sums of at most {_LARGEST_SUM:g}"
        )


def _array(name: str, value: object, ndim: int) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise InputError(f"{name} has type {array.dtype}: expected real numbers")
    if array.ndim != ndim or 0 in array.shape:
        raise InputError(f"{name} has shape {array.shape}: expected {ndim} dimension{'s' * (ndim > 1)}, none empty")
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(
            f"{name} holds {bad} NaN or infinite values, the first at index {first}; expected finite numbers"
        )
    return np.ascontiguousarray(array, dtype=np.float64)
