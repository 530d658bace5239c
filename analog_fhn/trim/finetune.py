"""Writing all arrays of one chip anew, with the chip as measured in the forward pass of the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn.array.crossbar import Crossbar
from analog_fhn.backends.table.backend import MIN_DRIVES
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.neuron import FHN, Coefficients, FloatArray
from analog_fhn.training.fit import keras_on_jax
from analog_fhn.training.response import Responses
from analog_fhn.trim.bench import Bench
from analog_fhn.trim.codes import TrimHardware
from analog_fhn.trim.identify import ArrayWeights, ChipTwin, Ends, measure_deeper, measure_inputs, output_weights
from analog_fhn.trim.readout import LinearReadout, lay_out, numbered, output_codes
from analog_fhn.trim.writing import DeviceEstimates, Written, with_bias, write_weights

_BATCH = 64
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_NULLS = 3  # rounds of the offset nulls
_FITS = 4  # of a readout, until its scale and the limit of its biases agree
_OF_NULL = 0.6  # share of an offset null's range that a readout may count on


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images (n, n_in) and their labels (n,)."""

    images: NDArray[np.floating]
    labels: NDArray[np.integer]

    @classmethod
    def of(cls, data: Dataset | LabelledImages) -> LabelledImages:
        """Those of a data set."""
        return data if isinstance(data, LabelledImages) else cls(data.images, data.labels)

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
        return rms(self.images)


def rms(inputs: NDArray[np.floating]) -> FloatArray:
    """Root mean squares of the columns of inputs (n_images, n_in), shape (n_in,)."""
    return np.asarray(np.sqrt(np.mean(np.square(inputs, dtype=np.float64), axis=0)))


@dataclass(frozen=True, eq=False)
class HiddenArray:
    """An array in front of a hidden layer, and how its weights are measured.

    Parameters
    ----------
    layer
        Number of the hidden layer, and of the array.
    ends
        Of the rows behind the layer.
    importance
        Rms of what drives each row of the array, shape (n_in,); rows with 0 are left alone.
    images
        That are shown to measure an array behind another layer; the input array is driven row by row.
    weights
        That it should have, shape (n_in, n_neurons).
    """

    layer: int
    ends: Ends
    importance: FloatArray
    images: NDArray[np.floating]
    weights: FloatArray

    def measure(self, bench: Bench) -> ArrayWeights:
        """Its weights as they are; the input array takes n_in + 1 runs, another one a run for each image."""
        if self.layer == 0:
            return measure_inputs(bench, self.ends, np.flatnonzero(self.importance > 0.0))
        return measure_deeper(bench, self.layer, self.ends, self.images, self.weights)


def write_hidden(
    bench: Bench,
    array: HiddenArray,
    bias: FloatArray | None = None,
    *,
    devices: DeviceEstimates | None = None,
    rounds: int = 8,
    tolerance: float = 0.005,
    verify: float | None = None,
) -> Written:
    """Write an array in front of a hidden layer until it has the weights that it should have; see `write_weights`.

    The pairs' slopes are made up for.

    Parameters
    ----------
    bias
        Shape (n_neurons,), for the bias rows; None: they stay.
    """
    present = bench.targets(array.layer)
    bias = np.full(array.weights.shape[1], np.nan) if bias is None else bias

    def measure() -> FloatArray:
        measured = array.measure(bench)
        return with_bias(measured.weights, measured.bias, present)

    return write_weights(
        bench, array.layer, with_bias(array.weights, bias, present), measure, _of_rows(array.importance, present),
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
    readout: LinearReadout,
    images: NDArray[np.floating],
    again: Callable[[tuple[FloatArray, FloatArray], float], LinearReadout] | None = None,
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
    number = bench.design.arrays[-1].number
    present = bench.targets(number)
    target, scale = lay_out(readout, bench.design, present)
    bench.write(number, target, target.g_plus != present.g_plus, target.g_minus != present.g_minus)
    if rounds == 1:
        return WrittenReadout(None, scale, null_outputs(bench, readout.bias * scale, images))
    hidden = bench.hidden(images)
    importance = _of_rows(rms(hidden), target)
    array, k, n = bench.design.technology.array, present.siemens_per_weight, present.n_in

    def measure() -> FloatArray:
        measured = output_weights(hidden, bench.scores(images), target.weights)
        return with_bias(measured.weights, measured.bias, target)

    def write(known: Written | None) -> Written:
        return write_weights(
            bench, number, with_bias(readout.weights * scale, readout.bias * scale, target), measure, importance,
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


def null_outputs(bench: Bench, biases: FloatArray, images: NDArray[np.floating]) -> int:
    """Set the offset nulls so that the scores' constant parts are these (n_classes,); returns how many saturate."""
    number = bench.design.arrays[-1].number
    present = bench.targets(number)
    per_code = score_per_code(bench.design, present, bench.hardware)
    beyond = 0
    for _ in range(_NULLS):
        hidden, scores = bench.both(images, number)
        before, error = bench.codes.output, output_weights(hidden, scores, present.weights).bias - biases
        codes, beyond = output_codes(bench.codes, error, per_code, bench.hardware)
        bench.set_codes(codes)
        if np.array_equal(codes.output, before):
            break
    return beyond


def score_per_code(design: Design, target: Crossbar, hardware: TrimHardware) -> FloatArray:
    """Change of each score per code of its offset null (n_classes,), with an output array of these conductances."""
    output = design.arrays[-1]
    gain = output.sense.null_gain(target.g_minus.sum(axis=0))
    volts = output.volts[0 if design.network.recentre else 1]
    return np.asarray(hardware.output_step * gain / volts)


def with_bias_that_can_be_made(
    fit: Callable[[float | None], LinearReadout], design: Design, target: Crossbar, hardware: TrimHardware
) -> LinearReadout:
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


def as_written(readout: LinearReadout, design: Design, target: Crossbar, hardware: TrimHardware) -> LinearReadout:
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
    ideal, one, zero = Coefficients.ideal(FHN(), n), np.ones(n), np.zeros(n)
    mean = np.tile(np.linspace(-1.0, 1.0, MIN_DRIVES), (n, 1))
    return Responses(
        gain=one, slope=slope * one, shift=zero, offset=zero, row_gain=ends.amplitude, row_offset=ends.centre,
        low=-one, high=one, mean=mean, deviation=np.zeros_like(mean), p=ideal.p, q=ideal.q, eps=ideal.eps * one,
        waves=np.zeros((n, MIN_DRIVES, 0), dtype=np.float32),
    )  # fmt: skip


def tune(
    twin: ChipTwin,
    readout: LinearReadout,
    reach: Sequence[tuple[FloatArray, FloatArray]],
    data: LabelledImages,
    *,
    epochs: int = 3,
    learning_rate: float = 3e-4,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[list[FloatArray], LinearReadout]:
    """Train all layers with the twin's neurons between them, from its measured weights.

    Parameters
    ----------
    reach
        For each hidden layer the lowest and highest weight that each pair in front of it can still take, shape (n_in,
        n_neurons).

    Returns
    -------
    tuple
        Weights in front of each hidden layer (n_in, n_neurons), and the readout that goes with them.

    Raises
    ------
    MissingProgramError
        If Keras or JAX is not installed.
    """
    keras = keras_on_jax()
    model, hidden, last = _trainable(twin, readout, reach)
    steps = epochs * -(-len(data.labels) // _BATCH)
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    report = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: None if progress is None else progress(epoch + 1, epochs)
    )
    # An order of the images that needs no random numbers.
    order = np.argsort(np.arange(len(data.labels)) * _GOLDEN % 1.0)
    model.fit(
        data.images[order], data.labels[order], batch_size=_BATCH, epochs=epochs, verbose=0, shuffle=False,
        callbacks=[report],
    )  # fmt: skip
    weights = [np.asarray(layer.kernel.value, dtype=np.float64) for layer in hidden]
    kernel, bias = (np.asarray(v.value, dtype=np.float64) for v in (last.kernel, last.bias))
    return weights, LinearReadout(kernel, bias)


def _trainable(
    twin: ChipTwin, readout: LinearReadout, reach: Sequence[tuple[FloatArray, FloatArray]]
) -> tuple[Any, list[Any], Any]:
    """Keras model of a twin and its readout, and its linear layers: those in front of neurons, and the last one."""
    keras = keras_on_jax()
    from analog_fhn.training.fhn import FHN as Neurons

    class Reach(keras.constraints.Constraint):  # type: ignore[misc, name-defined]
        def __init__(self, low: FloatArray, high: FloatArray) -> None:
            self.low, self.high = np.asarray(low, dtype=np.float32), np.asarray(high, dtype=np.float32)

        def __call__(self, weights: Any) -> Any:
            return keras.ops.clip(weights, self.low, self.high)

    model = keras.Sequential([keras.Input((len(twin.layers[0].array.weights),))])
    hidden = []
    for layer, limits in zip(twin.layers, reach, strict=True):
        dense = keras.layers.Dense(layer.array.weights.shape[1], kernel_constraint=Reach(*limits))
        model.add(dense)
        model.add(Neurons(responses_of(layer.ends, layer.slope)))
        dense.set_weights([layer.array.weights, layer.array.bias])
        # The constant part of u is the chip's offsets; no device sets it.
        dense.bias.trainable = False
        hidden.append(dense)
    last = keras.layers.Dense(readout.weights.shape[1])
    model.add(last)
    last.set_weights([readout.weights, readout.bias])
    return model, hidden, last
