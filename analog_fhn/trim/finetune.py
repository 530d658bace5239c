"""Writing both arrays of one chip anew, with the chip as measured in the forward pass of the training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.crossbar import Crossbar
from analog_fhn.backends.table.backend import MIN_DRIVES
from analog_fhn.design import Design
from analog_fhn.neuron import FHN, FloatArray
from analog_fhn.training.plain import keras_on_jax
from analog_fhn.training.response import Responses
from analog_fhn.trim.bench import Bench
from analog_fhn.trim.codes import TrimHardware
from analog_fhn.trim.identify import Ends, Twin, measure_inputs, output_weights
from analog_fhn.trim.readout import Readout, lay_out, numbered, output_codes
from analog_fhn.trim.writing import Devices, Written, with_bias, write_weights

_BATCH = 64
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_NULLS = 3  # rounds of the offset nulls
_FITS = 4  # of a readout, until its scale and the limit of its biases agree
_OF_NULL = 0.6  # share of an offset null's range that a readout may count on


@dataclass(frozen=True, eq=False)
class Images:
    """Images (n, n_in) and their labels (n,)."""

    images: NDArray[np.floating]
    labels: NDArray[np.integer]

    @cached_property
    def originals(self) -> NDArray[np.intp]:
        """Number of each image, shape (n,), the same for copies; see `readout.numbered`."""
        return numbered(self.images)

    @property
    def different(self) -> int:
        """How many different ones there are."""
        return int(self.originals.max(initial=-1)) + 1

    @property
    def importance(self) -> FloatArray:
        """Rms of every input, shape (n_in,)."""
        return np.asarray(np.sqrt(np.mean(np.square(self.images, dtype=np.float64), axis=0)))


def write_inputs(
    bench: Bench,
    ends: Ends,
    wanted: FloatArray,
    importance: FloatArray,
    bias: FloatArray | None = None,
    *,
    devices: Devices | None = None,
    rounds: int = 8,
    tolerance: float = 0.005,
    verify: float | None = None,
) -> Written:
    """Write the input array until its weights are `wanted` (n_in, n_neurons); see `write_weights`.

    The pairs' slopes are made up for, and rows that the images never drive are left alone. n_in + 1 runs a round.

    Parameters
    ----------
    importance
        Rms of every input, shape (n_in,).
    bias
        Shape (n_neurons,), for the bias rows; None: they stay.
    """
    rows, present = np.flatnonzero(importance > 0.0), bench.targets(0)
    bias = np.full(wanted.shape[1], np.nan) if bias is None else bias

    def measure() -> FloatArray:
        found = measure_inputs(bench, ends, rows)
        return with_bias(found.weights, found.bias, present)

    return write_weights(
        bench, 0, with_bias(wanted, bias, present), measure, _of_rows(importance, present),
        devices=devices, rounds=rounds, tolerance=tolerance, verify=verify,
    )  # fmt: skip


def _of_rows(importance: FloatArray, target: Crossbar) -> FloatArray:
    """Rms of the inputs, and of what drives the bias row if there is one."""
    return np.append(importance, target.bias_drive) if target.bias_rows else importance


@dataclass(frozen=True, eq=False)
class WrittenReadout:
    """Outcome of `write_readout`.

    Parameters
    ----------
    written
        What became of the array; None if it was written once.
    scale
        What all scores are multiplied by.
    saturated
        How many offset nulls stand at the end of their range.
    """

    written: Written | None
    scale: float
    saturated: int


def write_readout(
    bench: Bench,
    readout: Readout,
    images: NDArray[np.floating],
    again: Callable[[tuple[FloatArray, FloatArray], float], Readout] | None = None,
    *,
    rounds: int = 8,
    tolerance: float = 0.003,
    verify: float | None = None,
) -> WrittenReadout:
    """Write the output array, and null the offsets of the outputs.

    Parameters
    ----------
    readout
        For the chip's activations.
    images
        That the weights are measured with, more of them than there are neurons.
    again
        Makes a readout within the reach of the devices, lowest and highest weight (n_neurons, n_classes), and with a
        largest bias, once it is known which are stuck; None: the pairs in question stay as near as they come.
    rounds
        Rounds of writing; 1: all devices once, without a measurement.
    """
    present = bench.targets(1)
    target, scale = lay_out(readout, bench.design, present)
    bench.write(1, target, target.g_plus != present.g_plus, target.g_minus != present.g_minus)
    if rounds == 1:
        return WrittenReadout(None, scale, null_outputs(bench, readout.bias * scale, images))
    hidden = bench.hidden(images)
    importance = _of_rows(np.sqrt(np.mean(hidden**2, axis=0)), target)
    array, k, n = bench.design.technology.array, present.siemens_per_weight, present.n_in

    def measure() -> FloatArray:
        found = output_weights(hidden, bench.scores(images), target.weights)
        return with_bias(found.weights, found.bias, target)

    def write(known: Written | None) -> Written:
        return write_weights(
            bench, 1, with_bias(readout.weights * scale, readout.bias * scale, target), measure, importance,
            devices=None if known is None else known.devices, present=None if known is None else known.weights,
            rounds=rounds - 1, tolerance=tolerance, verify=verify,
        )  # fmt: skip

    written = write(None)
    stuck = written.devices.stuck_plus | written.devices.stuck_minus
    if again is not None and stuck.any():
        low, high = (limit[:n] / scale for limit in written.devices.reachable(array, k))
        readout = again((low, high), largest_bias(bench.design, present, bench.hardware) / scale)
        written = write(written)
    return WrittenReadout(written, scale, null_outputs(bench, readout.bias * scale, images))


def null_outputs(bench: Bench, wanted: FloatArray, images: NDArray[np.floating]) -> int:
    """Set the offset nulls so that the scores' constant parts are `wanted` (n_classes,); returns how many saturate."""
    present = bench.targets(1)
    per_code = score_per_code(bench.design, present, bench.hardware)
    beyond = 0
    for _ in range(_NULLS):
        hidden, scores = bench.both(images)
        before, error = bench.codes.output, output_weights(hidden, scores, present.weights).bias - wanted
        codes, beyond = output_codes(bench.codes, error, per_code, bench.hardware)
        bench.set_codes(codes)
        if np.array_equal(codes.output, before):
            break
    return beyond


def score_per_code(design: Design, target: Crossbar, hardware: TrimHardware) -> FloatArray:
    """Change of each score per code of its offset null (n_classes,), with an output array of these conductances."""
    sense = design.arrays[1].sense
    noise_gain = 1.0 + sense.rb / sense.ra + sense.rb * target.g_minus.sum(axis=0)
    volts = design.arrays[1].volts[0 if design.network.recentre else 1]
    return np.asarray(hardware.output_step * noise_gain / volts)


def with_bias_that_can_be_made(
    fit: Callable[[float | None], Readout], design: Design, target: Crossbar, hardware: TrimHardware
) -> Readout:
    """Readout whose biases the output array can make, at the scale that it will have there.

    Parameters
    ----------
    fit
        Makes a readout with a largest bias; None: any.
    """
    most, limit = largest_bias(design, target, hardware), None
    for _ in range(_FITS):
        readout = fit(limit)
        scale = lay_out(readout, design, target)[1]
        if np.abs(readout.bias).max() * scale <= most * 1.01:
            break
        limit = most / scale
    return readout


def as_written(readout: Readout, design: Design, target: Crossbar, hardware: TrimHardware) -> Readout:
    """What levels, clipping and the offset nulls' range leave of a readout, in its own units."""
    bar, scale = lay_out(readout, design, target)
    most = largest_bias(design, target, hardware)
    return replace(readout, weights=bar.weights / scale, bias=np.clip(readout.bias, -most / scale, most / scale))


def largest_bias(design: Design, target: Crossbar, hardware: TrimHardware) -> float:
    """Bias of a score that bias rows and most of the offset null's range can make, in units of the array's weights.

    That is, after the readout has been scaled (`lay_out`). The rest of the range is left to the amplifiers' offsets.
    """
    array = design.technology.array
    rows = target.bias_rows * target.bias_drive * (array.g_max - array.g_min) / target.siemens_per_weight
    null = 2 ** (hardware.output_bits - 1) * float(score_per_code(design, target, hardware).min())
    return float(rows + _OF_NULL * null)


def responses_of(ends: Ends, slope: float) -> Responses:
    """Measured activations as the training's layer takes them: a line between the ends, over ``tanh(u)``."""
    n = len(ends.amplitude)
    one, zero = np.ones(n), np.zeros(n)
    mean = np.tile(np.linspace(-1.0, 1.0, MIN_DRIVES), (n, 1))
    return replace(
        Responses.nominal(FHN(), drives=MIN_DRIVES)[np.zeros(n, dtype=np.intp)],
        gain=one, slope=slope * one, shift=zero, offset=zero, row_gain=ends.amplitude, row_offset=ends.centre,
        low=-one, high=one, mean=mean, deviation=np.zeros_like(mean),
    )  # fmt: skip


def tune(
    twin: Twin,
    readout: Readout,
    reach: tuple[FloatArray, FloatArray],
    data: Images,
    *,
    epochs: int = 3,
    learning_rate: float = 3e-4,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[FloatArray, Readout]:
    """Train both layers with the twin's neurons between them, from its measured weights.

    Parameters
    ----------
    reach
        Lowest and highest weight that each pair of the input array can still take, shape (n_in, n_neurons).

    Returns
    -------
    tuple
        Input weights (n_in, n_neurons), and the readout that goes with them.

    Raises
    ------
    MissingProgramError
        If Keras or JAX is not installed.
    """
    keras = keras_on_jax()
    from analog_fhn.training.fhn import FHN as Layer

    low, high = (np.asarray(limit, dtype=np.float32) for limit in reach)

    class Reach(keras.constraints.Constraint):  # type: ignore[misc, name-defined]
        def __call__(self, weights: Any) -> Any:
            return keras.ops.clip(weights, low, high)

    n_in, n = twin.inputs.weights.shape
    first = keras.layers.Dense(n, kernel_constraint=Reach())
    last = keras.layers.Dense(readout.weights.shape[1])
    model = keras.Sequential([keras.Input((n_in,)), first, Layer(responses_of(twin.ends, twin.slope)), last])
    first.set_weights([twin.inputs.weights, twin.inputs.bias])
    last.set_weights([readout.weights, readout.bias])
    steps = epochs * -(-len(data.labels) // _BATCH)
    # The constant part of u is the chip's offsets; no device sets it.
    first.bias.trainable = False
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: None if progress is None else progress(epoch + 1, epochs)
    )
    # An order of the images that needs no random numbers.
    order = np.argsort(np.arange(len(data.labels)) * _GOLDEN % 1.0)
    model.fit(
        data.images[order], data.labels[order], batch_size=_BATCH, epochs=epochs, verbose=0, shuffle=False,
        callbacks=[told],
    )  # fmt: skip
    weights = np.asarray(first.kernel.value, dtype=np.float64)
    kernel, bias = (np.asarray(v.value, dtype=np.float64) for v in (last.kernel, last.bias))
    return weights, Readout(kernel, bias)
