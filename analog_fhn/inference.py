"""Where network, chip, backend and images meet: responses -> classes -> accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.threads import single_blas
from analog_fhn.backends.base import Backend, Response, refuse_noise
from analog_fhn.cell.base import Cells, DriveStage
from analog_fhn.chip import Chip, HiddenLayer
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.readout import Readout, product_type, vote
from analog_fhn.technology.technology import Adc

if TYPE_CHECKING:
    from analog_fhn.backends.table.means import MeanTable
    from analog_fhn.backends.table.waveforms import TableQuality
    from analog_fhn.data import Dataset
    from analog_fhn.data.sparse_images import Pixels

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
    chip: Chip | Network,
    images: NDArray[np.floating],
    *,
    backend: str | Backend = "direct",
    table: int | None = None,
    tables: Path | None = None,
    noise: Sequence[Noise] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Classify images with FHN neurons in place of the hidden units.

    Between hidden layers stands a low-pass that gives the next layer the time average of the activations over the
    control window, but for its ripple and for what has not settled; between ideal layers it is exact.

    Parameters
    ----------
    chip
        The manufactured sample; a network is its own ideal chip. Its readout, recentring and protocol are used.
    images
        Shape (n_images, n_in), scaled as in training.
    backend
        Name or instance.
    table
        Drives per neuron of a response table that the backend makes and the images are read from, at least 5; None:
        every image is simulated.
    tables
        Folder where response tables are stored and found again; None: not stored.
    noise
        White noise of the neurons of each hidden layer; None: none.
    progress
        Called with (images done, images in all), and before that, while a response table is made, with (runs done,
        runs in all).

    Raises
    ------
    InputError
        Images of the wrong shape, or a table of fewer than 5 drives.
    SimulationError
        If the backend fails.
    """
    network = chip if isinstance(chip, Network) else chip.network
    readouts = [(network.readout, network.recentre)]
    return classify_all(
        chip, images, readouts, backend=backend, table=table, tables=tables, noise=noise, progress=progress
    )[0]


def classify_all(
    chip: Chip | Network,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    *,
    backend: str | Backend = "direct",
    table: int | None = None,
    tables: Path | None = None,
    noise: Sequence[Noise] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Result]:
    """As `classify`, but several (readout, recentre) pairs are read from one simulation."""
    from analog_fhn.backends.table.backend import Table  # compiled code; loaded on demand like the backends

    chip = Chip.ideal(chip) if isinstance(chip, Network) else chip
    engine = make_backend(backend) if isinstance(backend, str) else backend
    check_images(chip.network, images)
    check_converters(chip, [readout for readout, _ in readouts])
    if noise is not None and len(noise) != len(chip.layers):
        raise ValueError(f"noise of {len(noise)} layers; expected one for each of the {len(chip.layers)} hidden layers")
    if table is not None:
        engine = Table(engine, table, tables)
    return judge(chip, images, readouts, engine, noise=noise, progress=progress)


def judge(
    chip: Chip,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    engine: Backend,
    *,
    pixels: Pixels | None = None,
    window: bool = True,
    noise: Sequence[Noise] | None = None,
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

    start, protocol = time.perf_counter(), chip.network.protocol
    quality = None
    if isinstance(engine, Table):
        refuse_noise(engine.name, None if noise is None else noise[0])  # before minutes are spent on the table
        if engine.means_serve and not _needs_samples(chip, readouts):
            means = [engine.means(layer.cells, protocol, window=window) for layer in chip.layers]
            quality = _worst(table.quality for table in means)
            share = 0.0
            if quality.identity_deviation > _UNSETTLED:
                scores, share = _looked_up(chip, means, images, readouts)
            else:
                scores = scores_of_means(chip, means, images, [recentre for _, recentre in readouts], pixels)
            unsettled = share, quality.identity_deviation
            return _results(chip, scores, readouts, engine.name, unsettled, quality, time.perf_counter() - start)
        quality = _worst(engine.make(layer.cells, protocol, progress).quality for layer in chip.layers)
    with single_blas():
        scores, unsettled = _simulate(chip, images, readouts, engine, noise, progress)
    return _results(chip, scores, readouts, engine.name, unsettled, quality, time.perf_counter() - start)


def _worst(qualities: Iterable[TableQuality]) -> TableQuality:
    """Of the tables of several layers: numbers of runs in all, the largest of each error."""
    first, *others = qualities
    for other in others:
        values = {}
        for name, one in asdict(first).items():
            another = getattr(other, name)
            if name in ("n_runs", "n_checks", "n_window"):
                values[name] = one + another
            else:
                values[name] = max((v for v in (one, another) if v is not None), default=None)
        first = replace(first, **values)
    return first


@dataclass(frozen=True)
class LayerPass:
    """What one hidden layer was given and did under some images.

    Parameters
    ----------
    layer
        The layer.
    inputs
        Of its linear map, shape (n_images, n_in).
    drives, means
        Of its neurons, and the time averages of their x; each of shape (n_images, n_neurons).
    """

    layer: HiddenLayer
    inputs: NDArray[np.floating]
    drives: FloatArray
    means: FloatArray

    @property
    def deviations(self) -> FloatArray:
        """How far each time average is from the identity -(a + I), shape (n_images, n_neurons)."""
        return np.abs(self.means - self.layer.cells.dynamics.identity_mean(self.drives))


def passes(
    chip: Chip, images: NDArray[np.floating], means_of: Callable[[int, FloatArray], FloatArray]
) -> Iterator[LayerPass]:
    """The one way from images to hidden layers: each layer's pass over all images, the first layer first.

    Parameters
    ----------
    images
        Shape (n_images, n_in).
    means_of
        Time averages of x of a layer, by its number, under drives (n_images, n_neurons).
    """
    inputs, ripple = chip.inputs(images), None
    for number, layer in enumerate(chip.layers):
        drives = layer.drives(inputs, ripple)
        means = means_of(number, drives)
        yield LayerPass(layer, inputs, drives, means)
        if number < len(chip.layers) - 1:
            inputs, ripple = handed_over(layer.cells, means, chip.network.protocol, number)


def hidden_response(
    chip: Chip,
    images: NDArray[np.floating],
    engine: Backend,
    *,
    samples: bool = False,
    noise: Sequence[Noise] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Response, list[LayerPass]]:
    """Response of the last hidden layer to images (n_images, n_in), all at once, and the passes of all layers.

    Parameters
    ----------
    samples
        Whether x(t) of the last layer is asked for.
    progress
        Called with (runs done, runs in all) over all layers.
    """
    n_layers, responses = len(chip.layers), []

    def means_of(number: int, drives: FloatArray) -> FloatArray:
        def advance(done: int, total: int) -> None:
            if progress is not None:
                progress(number * total + done, n_layers * total)

        response = engine.respond(
            chip.layers[number].cells, drives, chip.network.protocol, samples=samples and number == n_layers - 1,
            progress=advance, noise=None if noise is None else noise[number],
        )  # fmt: skip
        responses.append(response)
        return response.mean

    every = list(passes(chip, images, means_of))
    return responses[-1], every


def handed_over(cells: Cells, means: FloatArray, protocol: Protocol, before: int) -> tuple[FloatArray, FloatArray]:
    """Activations that a layer's low-passes hand to the next array, and the variance of the ripple on them.

    Parameters
    ----------
    means
        Time averages of x, shape (n_images, n).
    before
        Number of hidden layers before this one.

    Returns
    -------
    activations, variance
        Each of the shape of `means`.
    """
    rows = cells.row_stage
    return rows.handed_over(protocol, before) * (rows.gain * means + rows.offset), cells.ripple(means)


def activations(
    chip: Chip, images: NDArray[np.floating], engine: Backend, *, recentre: bool | None = None
) -> FloatArray:
    """Time averages of the rows of the output array, shape (n_images, n_neurons), for images (n_images, n_in).

    Parameters
    ----------
    recentre
        Whether the rows carry the activation, or x itself; None: as the network says.
    """
    return layer_inputs(chip, images, engine, recentre=recentre)[-1]


def layer_inputs(
    chip: Chip, images: NDArray[np.floating], engine: Backend, *, recentre: bool | None = None
) -> list[FloatArray]:
    """What each linear map is given, the output layer's last, each of shape (n_images, n_in of the map).

    Parameters
    ----------
    images, recentre
        As for `activations`.
    """
    gain, offset = chip.last.cells.row_stage.of(chip.network.recentre if recentre is None else recentre)
    values = [np.empty((len(images), n)) for n in chip.network.layer_sizes[:-1]]
    for first in range(0, len(images), _GROUP):
        part = slice(first, first + _GROUP)
        response, every = hidden_response(chip, images[part], engine)
        for target, one in zip(values, every, strict=False):
            target[part] = one.inputs
        values[-1][part] = gain * response.mean + offset
    return values


def _simulate(
    chip: Chip,
    images: NDArray[np.floating],
    readouts: Sequence[tuple[Readout, bool]],
    engine: Backend,
    noise: Sequence[Noise] | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[FloatArray], tuple[float, float]]:
    """Scores for each readout, and how far from settled the neurons were: share and largest deviation."""
    n_images, n_classes, protocol = len(images), chip.network.layer_sizes[-1], chip.network.protocol
    scores = [np.empty((n_images, n_classes)) for _ in readouts]
    unsettled, largest = 0, 0.0
    with_samples = _needs_samples(chip, readouts)
    group = _GROUP
    if with_samples:
        copies = 1 if chip.network.before_output is None else 2
        per_image = protocol.n_samples * (copies * len(chip.last.cells) + 3 * n_classes) * 4
        group = max(1, int(_SAMPLE_BYTES / per_image))
    for first in range(0, n_images, group):
        part = slice(first, min(first + group, n_images))

        def advance(done: int, total: int, first: int = first, size: int = part.stop - first) -> None:
            if progress is not None:
                progress(first + size * done // total, n_images)

        response, every = hidden_response(
            chip, images[part], engine, samples=with_samples, progress=advance,
            noise=None if noise is None else [one.from_image(first) for one in noise],
        )  # fmt: skip
        for one in every:
            deviations = one.deviations
            unsettled += int(np.count_nonzero(deviations > _UNSETTLED))
            largest = max(largest, float(np.max(deviations)))
        for target, value in zip(scores, _read(chip, response, readouts), strict=True):
            target[part] = value
    n_neurons = sum(len(layer.cells) for layer in chip.layers)
    return scores, (unsettled / (n_images * n_neurons), largest)


def _looked_up(
    chip: Chip, means: Sequence[MeanTable], images: NDArray[np.floating], readouts: Sequence[tuple[Readout, bool]]
) -> tuple[list[FloatArray], float]:
    """Scores of the mean readout in double precision, and the share of neurons and images off the identity."""
    stages = [chip.scores_of_rows(recentre) for _, recentre in readouts]
    scores = [np.empty((len(images), len(shift))) for _, shift in stages]
    unsettled, total = 0, 0
    with single_blas():
        for first in range(0, len(images), _GROUP):
            part = slice(first, first + _GROUP)
            every = list(passes(chip, images[part], lambda number, drives: means[number].look_up(drives)))
            for one in every:
                unsettled += int(np.count_nonzero(one.deviations > _UNSETTLED))
                total += one.means.size
            for target, (rows, shift) in zip(scores, stages, strict=True):
                target[part] = every[-1].means @ rows + shift
    return scores, unsettled / total


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
    if chip.converters is not None:
        scores = [_convert(values, chip.converters) for values in scores]
    return [
        Result(np.argmax(values, axis=1), values, readout, recentre, backend, *unsettled, seconds, quality)
        for values, (readout, recentre) in zip(scores, readouts, strict=True)
    ]


def _check_scores(chip: Chip, scores: FloatArray) -> None:
    if np.isfinite(scores).all():
        return
    image, output = (int(i) for i in np.argwhere(~np.isfinite(scores))[0])
    largest = max(np.abs(chip.output.weights).max(), np.abs(chip.output.bias).max())
    raise InputError(
        f"output layer: the score of output {output} for image {image} is {scores[image, output]}, no finite number "
        f"(largest weight or bias {largest:.3g}); expected weights, neurons and rows whose sums stay finite"
    )


def scores_of_means(
    chip: Chip,
    tables: Sequence[MeanTable],
    images: NDArray[np.floating],
    recentre: Sequence[bool],
    pixels: Pixels | None = None,
) -> list[FloatArray]:
    """Scores of the mean readout, each (n_images, n_classes), with and without recentring as asked.

    In single precision (double where the weights ask for it) and in groups of images whose hidden layers stay in the
    cache; matrix products on one thread, so that the scores of an image are the same whatever runs beside.

    Parameters
    ----------
    tables
        Of each hidden layer.
    pixels
        `Pixels.of(images)`, if it is at hand.
    """
    from analog_fhn.data.sparse_images import Pixels

    if not chip.network.plain_stages:
        raise InputError(f"means alone do not serve a network with {chip.network.stages_text}")
    pixels = Pixels.of(images) if pixels is None else pixels
    layers = [_FastLayer.of(chip, number, table) for number, table in enumerate(tables)]
    stages = [chip.scores_of_rows(case) for case in recentre]
    outputs = [(rows.astype(product_type(rows, level, _LARGEST_X)), level) for rows, level in stages]
    scores = [np.empty((len(images), len(level))) for _, level in outputs]
    first_layer = layers[0]
    hidden = np.empty((min(_HIDDEN_GROUP, len(images)), first_layer.weights.shape[1]), dtype=first_layer.weights.dtype)
    with single_blas():
        for first in range(0, len(images), _HIDDEN_GROUP):
            part = slice(first, min(first + _HIDDEN_GROUP, len(images)))
            x = hidden[: part.stop - first]
            if pixels is None:
                np.matmul(np.asarray(images[part], dtype=hidden.dtype), first_layer.weights, out=x)
                x += first_layer.shift
            else:
                pixels.times(first_layer.weights, first_layer.shift, part, x)
            first_layer.means(x)
            for layer in layers[1:]:
                x = layer.of_means(x)
            for target, (rows, level) in zip(scores, outputs, strict=True):
                target[part] = x @ rows + level
    return scores


@dataclass(frozen=True, eq=False)
class _FastLayer:
    """A hidden layer from what it is given to the means of x, in the precision that its weights ask for.

    Parameters
    ----------
    weights, shift
        Argument of the tanh as ``inputs @ weights + shift``; inputs are images, or means of x of the layer before.
    table
        Grid places per tanh, grid place of tanh 0, and means at the grid's places; see `MeanTable.behind`.
    before
        Cells of the layer before; None: of the first layer there are none, or they leave no ripple.
    squares
        Of the weights from the activations of the layer before to the argument of the tanh.
    """

    weights: NDArray[np.floating]
    shift: NDArray[np.floating]
    table: tuple[NDArray[np.floating], ...]
    before: Cells | None
    squares: FloatArray | None

    @classmethod
    def of(cls, chip: Chip, number: int, table: MeanTable) -> _FastLayer:
        layer = chip.layers[number]
        stage = layer.cells.drive_stage
        if not isinstance(stage, DriveStage):
            raise InputError(f"means alone do not serve a network with {chip.network.stages_text}")
        z, z_shift, largest = layer.weights * stage.slope, stage.shift + stage.slope * layer.bias, _LARGEST_X
        before, squares = None, None
        if number == 0:
            largest = max(1.0, *map(abs, chip.network.input_range))
        else:
            cells = chip.layers[number - 1].cells
            rows = cells.row_stage
            share = rows.handed_over(chip.network.protocol, number - 1)
            if np.any(rows.time_constant):
                before, squares = cells, z**2
            z_shift = z_shift + (share * rows.offset) @ z
            z = (share * rows.gain)[:, None] * z
        kind = product_type(z, z_shift, largest)
        behind = tuple(np.asarray(a, dtype=kind) for a in table.behind(stage))
        return cls(z.astype(kind), z_shift.astype(kind), behind, before, squares)

    def means(self, argument: NDArray[np.floating], variance: FloatArray | None = None) -> None:
        """Put the means of x in the place of the tanh's arguments (n_images, n), whose ripple has this variance."""
        from analog_fhn.backends.table.means import interpolate

        if self.ramp and variance is None:
            np.clip(argument, 0.0, 1.0, out=argument)
        elif self.ramp:
            argument[...] = ramp_with_ripple(argument, variance)
        else:
            np.tanh(argument, out=argument)
            if variance is not None:
                argument[...] = tanh_with_ripple(argument, variance)
        interpolate(argument, *self.table)

    def of_means(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Means of x for those of the layer before."""
        variance = None
        if self.before is not None and self.squares is not None:
            variance = self.before.ripple(np.asarray(x, dtype=np.float64)) @ self.squares
        argument: NDArray[np.floating] = x.astype(self.weights.dtype) @ self.weights
        argument += self.shift
        self.means(argument, variance)
        return argument


def _read(chip: Chip, response: Response, readouts: Sequence[tuple[Readout, bool]]) -> list[FloatArray]:
    """Scores (n_images, n_classes) for each (readout, recentre), from one response."""
    scores: list[FloatArray] = []
    for readout, recentre in readouts:
        if readout == "mean" and chip.network.before_output is None:
            weights, shift = chip.scores_of_rows(recentre)
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
    if chip.network.before_output is None:
        weights, shift = chip.scores_of_rows(recentre)
        return samples @ weights.astype(product_type(weights, shift, _LARGEST_X)), shift
    gain, offset = chip.last.cells.row_stage.of(recentre)
    units = (-gain.astype(np.float32)) * samples
    units -= offset.astype(np.float32)
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the sigmoid 0
        np.exp(units, out=units)
    units += np.float32(1.0)
    np.reciprocal(units, out=units)
    weights, shift = chip.output.weights, chip.output.bias
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


def check_dataset(network: Network, dataset: Dataset) -> None:
    """Check that labelled images fit a network: number of pixels, classes, range of values.

    Raises
    ------
    InputError
        Naming the images' source, if they do not.
    """
    n_in, n_classes = network.layer_sizes[0], network.layer_sizes[-1]
    if dataset.images.shape[1] != n_in:
        raise InputError(
            f"{dataset.source}: images have {dataset.images.shape[1]} values; the network was trained on {n_in}"
        )
    if dataset.labels.max() >= n_classes:
        raise InputError(f"{dataset.source}: label {dataset.labels.max()}; the network has {n_classes} classes")
    low, high = network.input_range
    span = high - low
    first, last = dataset.scale
    if first < low - 0.5 * span or last > high + 0.5 * span or last - first < 0.1 * span:
        raise InputError(
            f"{dataset.source}: values from {first:g} to {last:g}, but the network was trained on values from {low:g} "
            f"to {high:g}; scale the images as in training"
        )


def check_converters(chip: Chip, readouts: Sequence[Readout]) -> None:
    """Check that a chip's converters and the readouts are modelled together.

    Raises
    ------
    InputError
        If the chip has converters and a readout is the vote.
    """
    if chip.converters is not None and "vote" in readouts:
        raise InputError(
            f"converters (adc.bits = {chip.converters.bits}) and the vote readout are not modelled together, "
            "because the vote compares voltages at every instant; expected readout 'mean', or a technology without the "
            "key 'adc'"
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
