"""Where network, chip, backend and images meet: responses -> classes -> accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.threads import single_blas
from analog_fhn.backends.base import Backend, Response, refuse_noise
from analog_fhn.chip import Chip
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.readout import Readout, product_type, vote
from analog_fhn.technology.technology import Adc

if TYPE_CHECKING:
    from analog_fhn.backends.table.means import MeanTable
    from analog_fhn.backends.table.waveforms import TableQuality
    from analog_fhn.pixels import Pixels

BACKENDS = ("reference", "direct", "brian", "spice")

_SAMPLE_BYTES = 200e6  # memory for the samples of one group of images
_GROUP = 1000  # images per group where only means are asked for
_HIDDEN_GROUP = 500
_UNSETTLED = 0.05
_LARGEST_X = 100.0  # no neuron, however far off its parts are, goes beyond
_LARGEST_PIXEL = 1e30  # sums of single precision stay within its range


@dataclass(frozen=True)
class Result:
    """Classes of a set of images, and how they came about.

    Parameters
    ----------
    predictions
        Shape (n_images,), class of each image.
    scores
        Shape (n_images, n_classes): time-averaged outputs (mean), or share of the control window in which each
        class leads (vote).
    readout, recentre
        Settings of the readout.
    backend
        Name of the backend; with a response table, of that.
    unsettled
        Share of neurons and images whose time average deviates by more than 0.05 from the identity -(a + I):
        these had not settled, or the control window was too short.
    identity_deviation
        Largest such deviation; with a response table of means alone that of the table.
    seconds
        Wall time; the making of a response table is part of it.
    table
        Measured errors of the response table; None: there was none between backend and images.
    """

    predictions: NDArray[np.intp]
    scores: FloatArray
    readout: Readout
    recentre: bool
    backend: str
    unsettled: float
    identity_deviation: float
    seconds: float
    table: TableQuality | None = None

    def accuracy(self, labels: NDArray[np.integer]) -> float:
        """Share of images whose class is right; `labels` has shape (n_images,)."""
        return float(np.mean(self.predictions == labels))


def make_backend(name: str, **options: Any) -> Backend:
    """Backend by name: reference, direct, brian or spice; options go to its class.

    Raises
    ------
    InputError
        For an unknown name.
    """
    # Imported on demand: numba, Brian2 and PySpice take seconds to load.
    if name == "reference":
        from analog_fhn.backends.reference import Reference

        return Reference(**options)
    if name == "direct":
        from analog_fhn.backends.direct.backend import Direct

        return Direct(**options)
    if name == "brian":
        from analog_fhn.backends.brian import Brian

        return Brian(**options)
    if name == "spice":
        from analog_fhn.backends.spice.backend import Spice

        return Spice(**options)
    raise InputError(f"backend {name!r}: expected one of {', '.join(BACKENDS)}")


def classify(
    network: Network,
    images: NDArray[np.floating],
    *,
    chip: Chip | None = None,
    backend: str | Backend = "direct",
    table: int | None = None,
    tables: Path | None = None,
    noise: Noise | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Classify images with FHN neurons in place of the hidden layers.

    Between hidden layers stands a low-pass that gives the next layer the time average of the activations (with raw
    readout: of x) over the control window, so that its drives are constant again.

    Parameters
    ----------
    network
        Its readout, recentring and protocol are used.
    images
        Shape (n_images, n_in), scaled as in training.
    chip
        The manufactured sample; None: ideal equations and the float weights. Required to be None with more than one
        hidden layer.
    backend
        Name or instance.
    table
        Drives per neuron of a response table that the backend makes and the images are read from, at least 5; None:
        every image is simulated.
    tables
        Folder where response tables are stored and found again; None: not stored.
    noise
        White current noise at the summing nodes of the neurons; None: none.
    progress
        Called with (images done, images in all), and before that, while a response table is made, with (runs done,
        runs in all).

    Raises
    ------
    InputError
        Images of the wrong shape, a chip that belongs to another network, a table of fewer than 5 drives, or a chip or
        noise with more than one hidden layer.
    SimulationError
        If the backend fails.
    """
    wanted = [(network.readout, network.recentre)]
    return classify_all(
        network, images, wanted, chip=chip, backend=backend, table=table, tables=tables, noise=noise, progress=progress
    )[0]


def classify_all(
    network: Network,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    *,
    chip: Chip | None = None,
    backend: str | Backend = "direct",
    table: int | None = None,
    tables: Path | None = None,
    noise: Noise | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """As `classify`, but several (readout, recentre) pairs are read from one simulation."""
    from analog_fhn.backends.table.backend import Table  # compiled code; loaded on demand like the backends

    engine = make_backend(backend) if isinstance(backend, str) else backend
    several = len(network.weights) > 2
    if several and not (chip is None and noise is None):
        raise InputError(
            f"network has {len(network.weights) - 1} hidden layers; a chip or noise is modelled for exactly one, "
            "more are ideal neurons"
        )
    check_images(network, images)
    if table is not None:
        engine = Table(engine, table, tables)
    if several:
        return _layers(network, images, readouts, engine, progress)
    chip = Chip.ideal(network) if chip is None else chip
    _check(network, chip, readouts)
    return judge(chip, images, readouts, engine, network.protocol, noise=noise, progress=progress)


def _layers(
    network: Network,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    engine: Backend,
    progress: Callable[[int, int], None] | None,
) -> list[Result]:
    """Results of a network of several hidden layers of ideal neurons."""
    start = time.perf_counter()
    cases = list(dict.fromkeys(recentre for _, recentre in readouts))
    before = len(network.weights) - 2
    total = len(cases) * (before + 1) * len(images)
    results: dict[tuple[Readout, bool], Result] = {}
    for number, case in enumerate(cases):
        inputs: NDArray[np.floating] = images
        shares, largest = [], 0.0

        def advance(done: int, n: int, first: int) -> None:
            if progress is not None:
                progress(first * len(images) + done * len(images) // n, total)

        for index in range(before):
            report = partial(advance, first=number * (before + 1) + index)
            inputs, (share, deviation) = _activations(network.layer(index), inputs, case, engine, report)
            shares.append(share)
            largest = max(largest, deviation)
        last = network.layer(before)
        wanted = [pair for pair in readouts if pair[1] == case]
        report = partial(advance, first=number * (before + 1) + before)
        for result in judge(Chip.ideal(last), inputs, wanted, engine, network.protocol, progress=report):
            sizes = network.layer_sizes[1:-1]
            unsettled = float(np.average([*shares, result.unsettled], weights=sizes))
            results[result.readout, case] = replace(
                result, unsettled=unsettled, identity_deviation=max(largest, result.identity_deviation)
            )
    seconds = time.perf_counter() - start
    return [replace(results[pair], seconds=seconds) for pair in readouts]


def _activations(
    network: Network,
    inputs: NDArray[np.floating],
    recentre: bool,
    engine: Backend,
    progress: Callable[[int, int], None],
) -> tuple[FloatArray, tuple[float, float]]:
    """Time averages of the rows of a layer of ideal neurons, (n_images, n_neurons), and how far from settled it was."""
    chip = Chip.ideal(network)
    gain, offset = chip.row_stage.of(recentre)
    values = np.empty((len(inputs), chip.n_neurons))
    deviations = np.empty_like(values)
    for first in range(0, len(inputs), _GROUP):
        part = slice(first, min(first + _GROUP, len(inputs)))
        drives = chip.drives(inputs[part])
        mean = engine.respond(chip, drives, network.protocol).mean
        deviations[part] = np.abs(mean - chip.coefficients.identity_mean(drives))
        values[part] = gain * mean + offset
        progress(part.stop, len(inputs))
    return values, (float(np.mean(deviations > _UNSETTLED)), float(np.max(deviations)))


def judge(
    chip: Chip,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    engine: Backend,
    protocol: Protocol,
    *,
    pixels: Pixels | None = None,
    window: bool = True,
    noise: Noise | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """What `classify_all` does once its arguments are checked; loops over many chips check them once.

    Parameters
    ----------
    pixels
        `Pixels.of(images)`, if it is at hand.
    window
        Whether a table of means alone is compared with the protocol's control window; see `Table.means`.
    """
    from analog_fhn.backends.table.backend import Table

    start = time.perf_counter()
    quality = None
    if isinstance(engine, Table):
        refuse_noise(engine.name, noise)  # before minutes are spent on the table
        if engine.means_serve and not _needs_samples(chip, readouts):
            means = engine.means(chip, protocol, window=window)
            quality = means.quality
            if quality.identity_deviation <= _UNSETTLED:
                scores = scores_of_means(chip, means, images, [recentre for _, recentre in readouts], pixels)
                unsettled = 0.0, quality.identity_deviation
                return _results(chip, scores, readouts, engine.name, unsettled, quality, time.perf_counter() - start)
        else:
            quality = engine.make(chip, protocol, progress).quality
    with single_blas():
        scores, unsettled = _simulate(chip, images, readouts, engine, protocol, noise, progress)
    return _results(chip, scores, readouts, engine.name, unsettled, quality, time.perf_counter() - start)


def _simulate(
    chip: Chip,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    engine: Backend,
    protocol: Protocol,
    noise: Noise | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[FloatArray], tuple[float, float]]:
    """Scores for each readout, and how far from settled the neurons were: share and largest deviation."""
    n_images, n_classes = len(images), chip.network.layer_sizes[-1]
    scores = [np.empty((n_images, n_classes)) for _ in readouts]
    deviations = np.empty((n_images, chip.n_neurons))
    with_samples = _needs_samples(chip, readouts)
    group = _GROUP
    if with_samples:
        copies = 1 if chip.network.behind == "linear" else 2
        per_image = protocol.n_samples * (copies * chip.n_neurons + 3 * n_classes) * 4
        group = max(1, int(_SAMPLE_BYTES / per_image))
    for first in range(0, n_images, group):
        part = slice(first, min(first + group, n_images))
        drives = chip.drives(images[part])

        def advance(done: int, total: int, first: int = first, size: int = part.stop - first) -> None:
            if progress is not None:
                progress(first + size * done // total, n_images)

        response = engine.respond(
            chip, drives, protocol, samples=with_samples, progress=advance,
            noise=None if noise is None else noise.from_image(first),
        )  # fmt: skip
        deviations[part] = np.abs(response.mean - chip.coefficients.identity_mean(drives))
        for target, value in zip(scores, _read(chip, response, readouts), strict=True):
            target[part] = value
    return scores, (float(np.mean(deviations > _UNSETTLED)), float(np.max(deviations)))


def _results(
    chip: Chip,
    scores: Sequence[FloatArray],
    readouts: Sequence[tuple[Readout, bool]],
    backend: str,
    unsettled: tuple[float, float],
    quality: TableQuality | None,
    seconds: float,
) -> list[Result]:
    for values in scores:
        _check_scores(chip, values)
    adc = None if chip.technology is None else chip.technology.adc
    if adc is not None:
        scores = [_convert(values, adc) for values in scores]
    return [
        Result(np.argmax(values, axis=1), values, readout, recentre, backend, *unsettled, seconds, quality)
        for values, (readout, recentre) in zip(scores, readouts, strict=True)
    ]


def _check_scores(chip: Chip, scores: FloatArray) -> None:
    if np.isfinite(scores).all():
        return
    image, output = (int(i) for i in np.argwhere(~np.isfinite(scores))[0])
    weights, bias = chip.weights[1], chip.biases[1]
    largest = max(np.abs(weights).max(), 0.0 if bias is None else np.abs(bias).max())
    raise InputError(
        f"output layer: the score of output {output} for image {image} is {scores[image, output]}, no finite number "
        f"(largest weight or bias {largest:.3g}); expected weights, neurons and rows whose sums stay finite"
    )


def scores_of_means(
    chip: Chip,
    table: MeanTable,
    images: NDArray[np.floating],
    recentre: Sequence[bool],
    pixels: Pixels | None = None,
) -> list[FloatArray]:
    """Scores of the mean readout, each (n_images, n_classes), with and without recentring as asked.

    In single precision (double where the weights ask for it) and in groups of images whose hidden layer stays in the
    cache; matrix products on one thread, so that the scores of an image are the same whatever runs beside.

    Parameters
    ----------
    pixels
        `Pixels.of(images)`, if it is at hand.
    """
    from analog_fhn.backends.table.means import interpolate
    from analog_fhn.pixels import Pixels

    if not chip.network.plain_stages:
        raise InputError(f"means alone do not serve a network with {chip.network.stages_text}")
    pixels = Pixels.of(images) if pixels is None else pixels
    stage = chip.drive_stage
    z, bias = chip.weights[0] * stage.slope, chip.biases[0]
    z_shift = stage.shift if bias is None else stage.shift + stage.slope * bias
    kind = product_type(z, z_shift, max(1.0, *map(abs, chip.network.input_range)))
    weights, shift = z.astype(kind), z_shift.astype(kind)
    gain, offset, nodes = (np.asarray(a, dtype=kind) for a in table.behind(stage))
    stages = [chip.output_stage(case) for case in recentre]
    outputs = [(rows.astype(product_type(rows, level, _LARGEST_X)), level) for rows, level in stages]
    scores = [np.empty((len(images), len(level))) for _, level in outputs]
    hidden = np.empty((min(_HIDDEN_GROUP, len(images)), chip.n_neurons), dtype=kind)
    with single_blas():
        for first in range(0, len(images), _HIDDEN_GROUP):
            part = slice(first, min(first + _HIDDEN_GROUP, len(images)))
            x = hidden[: part.stop - first]
            if pixels is None:
                np.matmul(np.asarray(images[part], dtype=kind), weights, out=x)
                x += shift
            else:
                pixels.times(weights, shift, part, x)
            np.tanh(x, out=x)
            interpolate(x, gain, offset, nodes)
            for target, (rows, level) in zip(scores, outputs, strict=True):
                target[part] = x @ rows + level
    return scores


def _read(chip: Chip, response: Response, readouts: Sequence[tuple[Readout, bool]]) -> list[FloatArray]:
    """Scores (n_images, n_classes) for each (readout, recentre), from one response."""
    scores: list[FloatArray] = []
    for readout, recentre in readouts:
        if readout == "mean" and chip.network.behind == "linear":
            weights, shift = chip.output_stage(recentre)
            scores.append(response.mean @ weights + shift)
            continue
        assert response.samples is not None
        outputs, shift = outputs_over_time(chip, response.samples, recentre)
        if readout == "mean":
            scores.append(outputs.mean(axis=0, dtype=np.float64) + shift)
        else:
            scores.append(vote(outputs, shift))
    return scores


def outputs_over_time(
    chip: Chip, samples: NDArray[np.float32], recentre: bool
) -> tuple[NDArray[np.floating], FloatArray]:
    """Output layer at each instant.

    Parameters
    ----------
    samples
        x, shape (n_samples, n_images, n_neurons).

    Returns
    -------
    outputs, shift
        Shapes (n_samples, n_images, n_classes) and (n_classes,); the scores are their sum.
    """
    if chip.network.behind == "linear":
        weights, shift = chip.output_stage(recentre)
        return samples @ weights.astype(product_type(weights, shift, _LARGEST_X)), shift
    gain, offset = chip.row_stage.of(recentre)
    units = (-gain.astype(np.float32)) * samples
    units -= offset.astype(np.float32)
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the sigmoid 0
        np.exp(units, out=units)
    units += np.float32(1.0)
    np.reciprocal(units, out=units)
    weights, bias = chip.weights[1], chip.biases[1]
    shift = np.zeros(weights.shape[1]) if bias is None else bias
    return units @ weights.astype(product_type(weights, shift, _LARGEST_X)), shift


def _needs_samples(chip: Chip, readouts: Sequence[tuple[Readout, bool]]) -> bool:
    """Whether x(t) is needed; means suffice where the scores are linear in x, and drives stem from a tanh."""
    return not chip.network.plain_stages or any(readout == "vote" for readout, _ in readouts)


def _convert(scores: FloatArray, adc: Adc) -> FloatArray:
    """Scores as converters give them, whose range is calibrated on the first images."""
    largest = float(np.abs(scores[: adc.calibration_images]).max()) * adc.margin
    if largest == 0.0:
        return scores
    step = 2.0 * largest / 2**adc.bits
    codes = np.clip(np.floor(scores / step), -(2 ** (adc.bits - 1)), 2 ** (adc.bits - 1) - 1)
    return np.asarray((codes + 0.5) * step)


def _check(network: Network, chip: Chip, readouts: Sequence[tuple[Readout, bool]]) -> None:
    made = chip.network
    if made.fhn != network.fhn or made.sha256 != network.sha256:
        raise InputError("the chip was made for another network or other FHN settings")
    for name in ("hidden", "tanh", "behind"):
        if getattr(made, name) != getattr(network, name):
            raise InputError(
                f"the chip was made for another network: {name} {getattr(made, name)!r}; expected "
                f"{getattr(network, name)!r}"
            )
    check_converters(chip, [readout for readout, _ in readouts])


def check_images(network: Network, images: NDArray[np.floating]) -> None:
    """Check that images fit a network.

    Raises
    ------
    InputError
        For a wrong shape, or values that are not finite.
    """
    n_in = network.layer_sizes[0]
    if images.ndim != 2 or images.shape[1] != n_in or len(images) == 0:
        raise InputError(f"images have shape {images.shape}: expected (n_images, {n_in}) for this network")
    if not np.isfinite(images).all():
        raise InputError("images hold NaN or infinite values")
    largest = float(max(abs(images.min()), abs(images.max())))
    if largest > _LARGEST_PIXEL:
        raise InputError(f"images hold values up to {largest:.3g}; expected at most {_LARGEST_PIXEL:g} in magnitude")


def check_converters(chip: Chip, readouts: Sequence[Readout]) -> None:
    """Check that a chip's converters and the readouts are modelled together.

    Raises
    ------
    InputError
        If the technology has converters and a readout is the vote.
    """
    if chip.technology is not None and chip.technology.adc is not None and "vote" in readouts:
        raise InputError(
            f"technology {chip.technology.name!r}: converters (adc.bits = {chip.technology.adc.bits}) and the vote "
            "readout are not modelled together, because the vote compares voltages at every instant; expected readout "
            "'mean', or no key 'adc'"
        )


def confusion(predictions: NDArray[np.intp], labels: NDArray[np.integer], n_classes: int) -> NDArray[np.intp]:
    """Counts, shape (n_classes, n_classes): row = true class, column = predicted class."""
    pairs = labels.astype(np.intp) * n_classes + predictions
    return np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes)


def per_class(predictions: NDArray[np.intp], labels: NDArray[np.integer], n_classes: int) -> list[float | None]:
    """Accuracy of each class; None where a class has no image."""
    matrix = confusion(predictions, labels, n_classes)
    totals = matrix.sum(axis=1)
    return [float(matrix[k, k] / totals[k]) if totals[k] else None for k in range(n_classes)]
