"""The network as mathematics, and its `.npz` file: arrays w0, b0, w1, ... and a JSON string `meta`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.files import new_file
from analog_fhn._support.json_text import typed
from analog_fhn._support.npz import read_npz, reading, take_meta
from analog_fhn.errors import InputError, shown
from analog_fhn.neuron import FHN, FloatArray, Protocol
from analog_fhn.readout import Activation, Readout, recentring

Tanh = Literal["drive", "input"]
Behind = Literal["linear", "sigmoid"]

FORMAT = 1

_LARGEST = 1e30  # of an input: sums of inputs stay within the range of single precision
_LARGEST_SUM = 1e150  # of a layer: its square is still finite in double precision


@dataclass(frozen=True, eq=False)
class Network:
    """Trained weights and what stands between them.

    Parameters
    ----------
    weights
        One array (n_in, n_out) per layer.
    biases
        One array (n_out,) or None per layer; empty: no biases.
    hidden
        Activation that the weights were trained with: "sigmoid" or "tanh".
    fhn
        Parameters of the FHN neurons that replace the hidden units.
    protocol
        Settling time, control window, sampling and initial state.
    readout
        "vote" or "mean".
    recentre
        Feed the output layer the activation in the trained weights' units (True) or x itself (the paper).
    input_range
        Smallest and largest input value of the training data.
    provenance
        How the weights came about; anything JSON can hold.
    tanh
        Where the tanh acts, of which the paper can be read in two ways. "drive": ``I = gamma tanh(slope (X W + b))``.
        "input": the inputs are tanh units, ``I = gamma (tanh(X) W + b)``, and the drive has no bound.
    behind
        What stands between the rows and the output array: nothing ("linear"), or sigmoid units that act on what the
        row drivers give at each instant ("sigmoid", section 4 of the paper).

    Raises
    ------
    InputError
        Wrong shapes, NaN or infinite values, unknown activation or readout, or more than one hidden layer with another
        `tanh` or `behind` than the default.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray | None, ...] = ()
    hidden: Activation = "sigmoid"
    fhn: FHN = field(default_factory=FHN)
    protocol: Protocol = field(default_factory=Protocol)
    readout: Readout = "mean"
    recentre: bool = True
    input_range: tuple[float, float] = (0.0, 1.0)
    provenance: dict[str, Any] = field(default_factory=dict)
    tanh: Tanh = "drive"
    behind: Behind = "linear"

    def __post_init__(self) -> None:
        low, high = (float(v) for v in self.input_range)
        if not (-_LARGEST <= low < high <= _LARGEST):
            raise InputError(
                f"input_range {self.input_range}: expected two numbers, low < high, at most {_LARGEST:g} in magnitude"
            )
        weights = tuple(_array(f"w{i}", w, 2) for i, w in enumerate(self.weights))
        if len(weights) < 2:
            raise InputError(f"network has {len(weights)} weight layers; expected at least 2 (hidden and output)")
        given = self.biases or (None,) * len(weights)
        if len(given) != len(weights):
            raise InputError(f"network has {len(weights)} weight layers but {len(given)} biases")
        biases = tuple(None if b is None else _array(f"b{i}", b, 1) for i, b in enumerate(given))
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            if i and w.shape[0] != weights[i - 1].shape[1]:
                raise InputError(
                    f"w{i} has shape {w.shape}: expected {weights[i - 1].shape[1]} rows, "
                    f"as many as w{i - 1} has columns"
                    + (" (is it transposed, as PyTorch stores it?)" if w.shape[1] == weights[i - 1].shape[1] else "")
                )
            if b is not None and b.shape != (w.shape[1],):
                raise InputError(f"b{i} has shape {b.shape}: expected ({w.shape[1]},), one per column of w{i}")
            _check_magnitudes(f"w{i}", w, b, self.input_range if i == 0 else (0.0, 1.0))
        check_hidden(self.hidden)
        if self.readout not in get_args(Readout):
            raise InputError(f"readout {shown(self.readout)}: expected 'vote' or 'mean'")
        for name, value, known in (("tanh", self.tanh, Tanh), ("behind", self.behind, Behind)):
            if value not in get_args(known):
                raise InputError(f"{name} {shown(value)}: expected {' or '.join(map(repr, get_args(known)))}")
        if len(weights) > 2 and not self.plain_stages:
            raise InputError(
                f"network has {len(weights) - 1} hidden layers, {self.stages_text}; expected one hidden layer, or "
                "tanh 'drive' and behind 'linear'"
            )
        object.__setattr__(self, "input_range", (low, high))
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "biases", biases)

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Numbers of inputs, hidden neurons, ..., classes."""
        return (self.weights[0].shape[0], *(w.shape[1] for w in self.weights))

    @property
    def plain_stages(self) -> bool:
        """Whether the tanh is in the drive and the rows feed the output array: what a circuit is laid out for."""
        return self.tanh == "drive" and self.behind == "linear"

    @property
    def stages_text(self) -> str:
        """Settings of `tanh` and `behind` as messages name them."""
        return f"tanh {self.tanh!r}, behind {self.behind!r}"

    def layer(self, index: int) -> Network:
        """Hidden layer number `index` between its two weight layers, as a network of its own with the same settings."""
        part = slice(index, index + 2)
        return replace(self, weights=self.weights[part], biases=self.biases[part])

    def forward(self, images: NDArray[np.floating]) -> FloatArray:
        """Scores of the plain network (no FHN neurons), shape (n_images, n_classes).

        The trained activation stands in the neurons' place. With another `tanh` or `behind` than the default, where
        the weights were trained with the neurons, it is the sigmoid of their backward pass,
        ``x = -a - gamma tanh(slope z)``, seen as the rows are read, with or without recentring.
        """
        h = np.asarray(images, dtype=np.float64)
        if not self.plain_stages:
            return self._forward_of_the_backward_pass(h)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = h @ w if b is None else h @ w + b
            if i < len(self.weights) - 1:
                h = np.tanh(h) if self.hidden == "tanh" else 0.5 * (1.0 + np.tanh(0.5 * h))
        return h

    def _forward_of_the_backward_pass(self, images: FloatArray) -> FloatArray:
        (w0, w1), (b0, b1) = self.weights, self.biases
        z = (np.tanh(images) if self.tanh == "input" else images) @ w0 + (0.0 if b0 is None else b0)
        gain, offset = recentring(self.hidden, self.fhn.a, self.fhn.gamma) if self.recentre else (1.0, 0.0)
        rows = gain * (-self.fhn.a - self.fhn.gamma * np.tanh(self.fhn.slope * z)) + offset
        if self.behind == "sigmoid":
            rows = 0.5 * (1.0 + np.tanh(0.5 * rows))
        return np.asarray(rows @ w1 + (0.0 if b1 is None else b1))

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
        neurons = {"type": "fhn", "trained_as": self.hidden} | ({} if self.tanh == "drive" else {"tanh": self.tanh})
        meta = {
            "format": FORMAT,
            # A stage behind the neurons is one more entry, which stands between the same two weight layers.
            "stages": [neurons] * (len(self.weights) - 1)
            + ([] if self.behind == "linear" else [{"type": self.behind}]),
            "fhn": asdict(self.fhn),
            "protocol": asdict(self.protocol),
            "readout": {"type": self.readout, "recentre": self.recentre},
            "input_range": list(self.input_range),
            "provenance": self.provenance,
            "sha256": weights_hash(arrays),
        }
        with new_file(path) as file:
            np.savez(file, meta=np.array(json.dumps(meta)), **arrays)  # type: ignore[arg-type]

    @property
    def sha256(self) -> str:
        """Hash of the weight arrays."""
        return weights_hash(named_arrays(self.weights, self.biases))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """Read a network file.

        Raises
        ------
        InputError
            Missing or foreign file, pickled content, missing keys, wrong shapes, NaN, an unsupported
            activation (such as ReLU), another format version, or arrays that do not match their hash.
        """
        path = Path(path)
        arrays = read_npz(path, "a network")
        meta = take_meta(path, arrays, "a network file written by 'analog-fhn train' or Network.save")
        with reading(path, "a network file"):
            if meta["format"] != FORMAT:
                raise InputError(f"format {shown(meta['format'])}; this version reads format {FORMAT}")
            n_layers, activation, tanh, behind = _stages(meta["stages"])
            weights = tuple(arrays.pop(f"w{i}") for i in range(n_layers))
            biases = tuple(arrays.pop(f"b{i}", None) for i in range(n_layers))
            if arrays:
                raise InputError(f"unexpected arrays {', '.join(sorted(arrays)[:8])} beside {n_layers} layers")
            network = cls(
                weights,
                biases,
                activation,
                _settings(FHN, meta["fhn"]),
                _settings(Protocol, meta["protocol"]),
                meta["readout"]["type"],
                typed(meta["readout"]["recentre"], bool, "recentre", "true or false"),
                _range(meta["input_range"]),
                typed(meta["provenance"], dict, "provenance", "names and values"),
                tanh,
                behind,
            )
            if weights_hash(named_arrays(weights, biases)) != meta["sha256"]:
                raise InputError("the arrays do not match their SHA-256; the file was altered")
        return network


def _stages(stages: Any) -> tuple[int, Activation, Tanh, Behind]:
    """Number of weight layers, activation and settings, from what stands between the layers."""
    behind: Behind = "linear"
    expected = "a list of stages {'type': 'fhn', ...}"
    stages = [typed(stage, dict, "stages", expected) for stage in typed(stages, list, "stages", expected)]
    if len(stages) == 2 and stages[0]["type"] == "fhn" and stages[1] == {"type": "sigmoid"}:
        stages, behind = stages[:1], "sigmoid"
    kinds = [(stage.get("trained_as", stage["type"]), stage.get("tanh", "drive")) for stage in stages]
    if not kinds or any(kind != kinds[0] for kind in kinds):
        raise InputError(f"stages {shown(stages)} differ; expected one activation for all hidden layers")
    activation, tanh = kinds[0]
    check_hidden(activation)
    return len(stages) + 1, activation, tanh, behind


def _range(values: Any) -> tuple[float, float]:
    if not (isinstance(values, list) and len(values) == 2 and all(type(value) in (int, float) for value in values)):
        raise InputError(f"input_range is {shown(values)}: expected two numbers")
    return float(values[0]), float(values[1])


def check_hidden(activation: object, source: str = "network") -> None:
    """Refuse hidden activations that FHN neurons cannot stand in for.

    Raises
    ------
    InputError
        For ReLU-like and unknown activations, with the reason.
    """
    if activation in get_args(Activation):
        return
    if isinstance(activation, str) and any(s in activation.lower() for s in ("relu", "elu", "softplus", "linear")):
        raise InputError(
            f"{source}: hidden activation {shown(activation)} is unbounded, but an FHN neuron's drive is "
            "gamma*tanh(slope*z) and its mean follows that bounded curve; train with sigmoid or tanh hidden units"
        )
    raise InputError(f"{source}: hidden activation {shown(activation)}: expected 'sigmoid' or 'tanh'")


def matched_slope(hidden: Activation) -> float:
    """Slope at which tanh(slope z) follows the trained activation: 1/2 for sigmoid, 1 for tanh.

    Algebra: the logistic function of z is ``(1 + tanh(z/2))/2``; recentring does the rest.
    """
    return 0.5 if hidden == "sigmoid" else 1.0


def weights_hash(arrays: dict[str, FloatArray]) -> str:
    """SHA-256 over names, shapes, types and bytes of the arrays, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.shape}{array.dtype.str}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


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
