"""A crossbar as a Keras layer: a dense layer whose weights are what a fresh array of devices makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from analog_fhn.array.crossbar import MOST_BIAS_ROWS, map_weights
from analog_fhn.array.wires import solve_tiled
from analog_fhn.errors import InputError
from analog_fhn.neuron import FloatArray
from analog_fhn.technology.sections import NOMINAL_TEMPERATURE, Array
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.training.programming import ProgrammingTable

keras = keras_on_jax()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

_Layer: Any = keras.layers.Layer
_Callback: Any = keras.callbacks.Callback


_SMALL = 0.05  # of g_max; of smaller devices what comes around through others is no small part of what is seen


@keras.saving.register_keras_serializable(package="analog_fhn")
class ArrayDense(_Layer):  # type: ignore[misc]
    """Dense layer, whose every training step sees another array of the same technology.

    In training: weights are clipped to the quantile that g_max stands for, mapped to pairs of conductances, set to the
    nearest level, programmed with an error, and some devices are stuck (see `analog_fhn.array.crossbar`). Gradients go
    straight through clipping and levels; a stuck device has none. Biases are shared by as many rows as they take on a
    chip, whose devices have errors and faults as all others. Outside training weights and biases are used as they are.

    With `wires` a device G is seen as ``a G + b``, with a and b from the exact elimination of an array of these weights
    without errors (`analog_fhn.array.wires.solve_tiled`), so that b is what comes around through other devices: a is
    ``G_eff/G``, at most 1, and of devices below 5 % of g_max, where that tells little, the geometric mean of
    ``sum(G_eff)/sum(G)`` over the device's row and over its column. Gradients take a and b for constants, and so do
    errors and faults: what they change of the wires' share of other devices is left out.

    The weight that g_max stands for, and what the wires leave, is looked for when the layer is built and by `refresh`,
    not in every step: give ``model.fit`` the callback `RefreshRanges`, or call `refresh` after setting the weights.
    `train_fhn` does so.

    Parameters
    ----------
    units
        Number of outputs.
    array
        Conductance range, levels, errors and faults, as in a technology.
    layer
        Number of the array from 0, the input array; selects the clip quantile.
    temperature
        Of the devices (K).
    levels
        Whether training sees the levels.
    clip_sigma
        Weights are kept within so many of their standard deviations: the smaller the largest weight is against the
        others, the less a stuck device and a level's width weigh. None: any weight is let pass.
    offsets
        Outputs at zero input of drawn chips, shape (n_chips, units): in training one of them, drawn for each output, is
        added. None: none.
    bias_drive
        Value of the constant on the rows that carry the biases, in units of the layer's input; None: no biases.
    wires
        Whether training sees the wires and tiles of `array`.
    seed
        Of all draws.

    Raises
    ------
    InputError
        For offsets of another shape.
    """

    def __init__(
        self,
        units: int,
        array: Array | dict[str, Any],
        *,
        layer: int = 0,
        temperature: float = 300.0,
        levels: bool = True,
        clip_sigma: float | None = None,
        offsets: Any = None,
        bias_drive: float | None = None,
        wires: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units, self.layer, self.temperature, self.levels, self.seed = units, layer, temperature, levels, seed
        self.clip_sigma, self.bias_drive, self.bias, self.wires = clip_sigma, bias_drive, None, wires
        self.array = array if isinstance(array, Array) else Array.model_validate(array)
        self.offsets = None if offsets is None else np.asarray(offsets, np.float32)
        if self.offsets is not None and (self.offsets.shape[1:] != (units,) or len(self.offsets) == 0):
            raise InputError(
                f"offsets have shape {self.offsets.shape}; expected (n_chips, {units}), n_chips at least 1"
            )
        self.generator = keras.random.SeedGenerator(seed)
        self._relative = _relative_error(self.array, temperature)
        if self._relative is None:
            table = ProgrammingTable.of(self.array, temperature)
            self._mean, self._deviation = (
                np.asarray(v / self.array.g_max, np.float32) for v in (table.mean, table.deviation)
            )

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Make the weights; `shape` is that of the inputs."""
        self.kernel = self.add_weight(
            name="kernel", shape=(shape[-1], self.units), initializer="glorot_uniform", dtype="float32",
            constraint=None if self.clip_sigma is None else self._clipped,
        )  # fmt: skip
        if self.bias_drive is not None:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros", dtype="float32")
        self.largest = self.add_weight(name="largest", shape=(), initializer="ones", trainable=False, dtype="float32")
        # Size of the errors, and share of the faults, relative to those of the technology: what a schedule moves.
        self.strength = self.add_weight(name="strength", shape=(), initializer="ones", trainable=False, dtype="float32")
        if self.wires:
            # a of the positive and of the negative device, and the difference of their b over g_max; of all rows of a
            # bias together.
            sizes = self.kernel.shape[0], 1
            self.left, self.bias_left = (self._constant("left", (2, n, self.units), "ones") for n in sizes)
            self.around, self.bias_around = (self._constant("around", (n, self.units), "zeros") for n in sizes)
        self.refresh()

    def refresh(self) -> None:
        """Find what g_max stands for, and what wires leave, again; to be called once an epoch, see `RefreshRanges`."""
        w = np.abs(np.asarray(self.kernel.value))
        self.largest.assign(float(np.quantile(w, self.array.clip(self.layer))) or float(w.max()) or 1.0)
        if self.wires:
            self._see_wires()

    def _see_wires(self) -> None:
        array = self.array if self.levels else self.array.model_copy(update={"levels": None})
        kernel = np.asarray(self.kernel.value, dtype=np.float64)
        bias = None if self.bias is None else np.asarray(self.bias.value, dtype=np.float64)
        bar = map_weights(kernel, bias, array, layer=self.layer, bias_drive=self.bias_drive or 1.0)
        g, n_in = bar.conductance, bar.n_in
        seen = solve_tiled(g, array.wires, tile_rows=array.tile_rows, tile_columns=array.tile_columns).effective
        left, around = _line_through(g, seen, array.g_max)
        self.left.assign(np.stack([left[:n_in, side::2] for side in range(2)]))
        self.around.assign(around[:n_in, 0::2] - around[:n_in, 1::2])
        if bar.bias_rows:
            mean = left[n_in:].mean(axis=0, keepdims=True)
            around = (seen - mean * g)[n_in:].mean(axis=0, keepdims=True) / array.g_max
            self.bias_left.assign(np.stack([mean[:, side::2] for side in range(2)]))
            self.bias_around.assign(around[:, 0::2] - around[:, 1::2])

    def _constant(self, name: str, shape: tuple[int, ...], initializer: str) -> Any:
        return self.add_weight(name=name, shape=shape, initializer=initializer, trainable=False, dtype="float32")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Outputs for inputs (n, n_in)."""
        if not training:
            z = self._summed(inputs, self.kernel.value)
            return z if self.bias is None else z + self.bias.value
        wires = (self.left.value, self.around.value) if self.wires else None
        z = self._summed(inputs, self._drawn(self.kernel.value, wires))
        if self.bias is not None:
            z = z + self._drawn_bias(self.bias.value)
        if self.offsets is not None:
            chosen = keras.random.randint((self.units,), 0, len(self.offsets), seed=self.generator)
            z = z + self.strength.value * jnp.asarray(self.offsets)[chosen, jnp.arange(self.units)]
        return z

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Shape of the output for inputs of `shape`."""
        return (*shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        config: dict[str, Any] = super().get_config()
        return config | {
            "units": self.units,
            "array": self.array.model_dump(),
            "layer": self.layer,
            "temperature": self.temperature,
            "levels": self.levels,
            "clip_sigma": self.clip_sigma,
            "offsets": None if self.offsets is None else self.offsets.tolist(),
            "bias_drive": self.bias_drive,
            "wires": self.wires,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ArrayDense:
        """Layer of this configuration."""
        # Older files have one chip whose offsets are 0 where there are none.
        offsets = config.get("offsets")
        none = offsets is None or (len(offsets) == 1 and not np.any(offsets))
        layer: ArrayDense = super().from_config(config | {"offsets": None if none else offsets})
        return layer

    def _summed(self, inputs: Any, weights: Any) -> Any:
        """Sums of inputs over weights (n_rows, units)."""
        return inputs @ weights

    def _clipped(self, kernel: Any) -> Any:
        kernel = keras.ops.convert_to_tensor(kernel)
        limit = self.clip_sigma * jnp.std(kernel)
        return jnp.clip(kernel, -limit, limit)

    def _drawn(self, kernel: Any, wires: tuple[Any, Any] | None = None) -> Any:
        """Weights that a fresh array makes of the kernel; `wires` are what wires make of the devices, None: nothing."""
        array, largest = self.array, self.largest.value
        low = array.g_min / array.g_max  # all conductances in units of g_max
        w = _through(kernel, jnp.clip(kernel, -largest, largest)) / largest * (1.0 - low)
        if array.mapping == "one-sided":
            targets = low + jnp.maximum(w, 0.0), low + jnp.maximum(-w, 0.0)
        else:
            middle = 0.5 * (1.0 + low)
            targets = middle + 0.5 * w, middle - 0.5 * w
        return self._pairs(*targets, wires) * (largest / (1.0 - low))

    def _drawn_bias(self, bias: Any) -> Any:
        """Biases that a fresh array's rows make of the wanted ones; see `analog_fhn.array.crossbar.map_weights`."""
        shared = jnp.abs(bias).max() / (self.largest.value * self.bias_drive)
        n_rows = jnp.clip(jnp.ceil(jax.lax.stop_gradient(shared) * (1.0 - 1e-6)), 1.0, MOST_BIAS_ROWS)
        wires = (self.bias_left.value, self.bias_around.value) if self.wires else None
        rows = self._drawn(jnp.tile(bias / (n_rows * self.bias_drive), (MOST_BIAS_ROWS, 1)), wires)
        # Always as many are drawn, so that a step is compiled once: those beyond `n_rows` are not there.
        there = jnp.arange(MOST_BIAS_ROWS)[:, None] < n_rows
        return self.bias_drive * jnp.where(there, rows, 0.0).sum(axis=0)

    def _pairs(self, plus: Any, minus: Any, wires: tuple[Any, Any] | None) -> Any:
        """Differences of the conductances that pairs of devices end up with, relative to g_max, from their targets.

        Errors of the two devices add up to one draw. A pair has at most one stuck device.
        """
        array, strength = self.array, self.strength.value
        # As strong as the errors: see `strength`.
        p, m, around = 1.0, 1.0, 0.0
        if wires is not None:
            (p, m), around = 1.0 + strength * (wires[0] - 1.0), strength * wires[1]
        low = array.g_min / array.g_max
        if self.levels:
            plus, minus = self._levelled(plus), self._levelled(minus)
        difference = p * plus - m * minus
        if self._relative is not None:
            deviation, shift = self._relative * _root((p * plus) ** 2 + (m * minus) ** 2), 0.0
        else:
            (mean_plus, sd_plus), (mean_minus, sd_minus) = self._looked_up(plus), self._looked_up(minus)
            deviation = jnp.sqrt((p * sd_plus) ** 2 + (m * sd_minus) ** 2)
            shift = jax.lax.stop_gradient(p * (mean_plus - plus) - m * (mean_minus - minus))
        if self._relative != 0.0:
            noise = keras.random.normal(difference.shape, seed=self.generator)
            difference = difference + strength * (shift + deviation * noise)
        on, off = strength * array.stuck_on, strength * array.stuck_off
        if array.stuck_on or array.stuck_off:
            uniform = keras.random.uniform(difference.shape, seed=self.generator)
            bound = 0.0
            stuck = (
                (on, p * 1.0 - m * minus),
                (on, p * plus - m * 1.0),
                (off, p * low - m * minus),
                (off, p * plus - m * low),
            )
            for share, fixed in stuck:
                difference = jnp.where((uniform >= bound) & (uniform < bound + share), fixed, difference)
                bound = bound + share
        return difference if wires is None else difference + around

    def _levelled(self, g: Any) -> Any:
        """The nearest levels, straight through."""
        array = self.array
        if array.levels is None:
            return g
        low = array.g_min / array.g_max
        if isinstance(array.levels, int):
            step = (1.0 - low) / (array.levels - 1)
            return _through(g, low + step * jnp.round((g - low) / step))
        assert array.level_values is not None
        values = jnp.asarray(array.level_values / array.g_max, dtype=jnp.float32)
        return _through(g, values[jnp.searchsorted(0.5 * (values[1:] + values[:-1]), g)])

    def _looked_up(self, g: Any) -> tuple[Any, Any]:
        """Mean and standard deviation of devices of target g."""
        low, last = self.array.g_min / self.array.g_max, len(self._mean) - 1
        place = jax.lax.stop_gradient(jnp.clip((g - low) / (1.0 - low), 0.0, 1.0)) * last
        cell = jnp.minimum(place.astype(jnp.int32), last - 1)
        mean, deviation = (
            v[cell] + (place - cell) * (v[cell + 1] - v[cell]) for v in map(jnp.asarray, (self._mean, self._deviation))
        )
        return mean, deviation


class RefreshRanges(_Callback):  # type: ignore[misc]
    """Callback of ``model.fit`` that calls `ArrayDense.refresh` of every such layer before each epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Find the largest weights again."""
        waiting = [self.model]
        while waiting:
            layer = waiting.pop()
            waiting += getattr(layer, "layers", [])
            if isinstance(layer, ArrayDense):
                layer.refresh()


def _line_through(g: FloatArray, seen: FloatArray, g_max: float) -> tuple[FloatArray, FloatArray]:
    """Factors a and offsets b, the latter over `g_max`, of ``seen = a g + b``; see `ArrayDense`. All (n_rows, n)."""
    own = np.minimum(1.0, seen / np.maximum(g, _SMALL * g_max))
    rows, columns = (_ratio(seen.sum(axis), g.sum(axis)) for axis in (1, 0))
    left = np.where(g >= _SMALL * g_max, own, np.minimum(1.0, np.sqrt(rows[:, None] * columns)))
    return left, (seen - left * g) / g_max


def _ratio(seen: FloatArray, g: FloatArray) -> FloatArray:
    """Quotient of sums of conductances (n,); 1 where there are none."""
    return np.divide(seen, g, out=np.ones(len(g)), where=g > 0.0)


def _root(square: Any) -> Any:
    """Square root, whose gradient at 0 is 0: a pair of devices without conductance has no error."""
    # Both branches are differentiated: the root's must not be infinite where it is not taken.
    normal = square >= jnp.finfo(jnp.float32).tiny
    return jnp.where(normal, jnp.sqrt(jnp.where(normal, square, 1.0)), 0.0)


def _through(value: Any, rounded: Any) -> Any:
    """`rounded`, with the gradient of `value` (straight through)."""
    return value + jax.lax.stop_gradient(rounded - value)


def _relative_error(array: Array, temperature: float) -> float | None:
    """Sigma relative to the target, where that is all: no device preset, drift, write-verify or temperature."""
    more = (array.device, array.write_tolerance, array.drift_time)
    warm = bool(array.temperature_coefficient) and temperature != NOMINAL_TEMPERATURE
    if warm or any(value is not None for value in more):
        return None
    assert not isinstance(array.programming_error, str)
    assert not isinstance(array.read_noise, str)
    return float(np.hypot(array.programming_error, array.read_noise))
