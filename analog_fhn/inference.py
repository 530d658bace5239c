"""Where network, chip, backend and images meet: responses -> classes -> accuracy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Grid, Shown, data_frame
from analog_fhn._support.interrupts import kept
from analog_fhn._support.plugins import plugin, plugins
from analog_fhn._support.threads import single_blas
from analog_fhn._support.words import counted, percent
from analog_fhn.backends import BACKENDS
from analog_fhn.backends.base import CIRCUIT_BACKENDS, Backend, Response, refuse_noise
from analog_fhn.cell.base import Cells, DriveStage, RampStage, ramp_with_ripple, tanh_with_ripple
from analog_fhn.chip import Chip, HiddenLayer, at_positions
from analog_fhn.draws import ReadNoise, RunNoise, Samples
from analog_fhn.errors import InputError, shown
from analog_fhn.hold import add_samples
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.patches import PLAIN, Front
from analog_fhn.readout import Readout, product_type, vote
from analog_fhn.technology.sections import Adc

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from analog_fhn.backends.table.means import MeanTable
    from analog_fhn.backends.table.waveforms import TableQuality
    from analog_fhn.data import Dataset
    from analog_fhn.data.sparse_images import Pixels

_SAMPLE_BYTES = 200e6  # memory for the samples of one group of images
_GROUP = 1000  # images per group where only means are asked for
_PATCH_VALUES = 1e6  # of a convolution's patches that stay in the cache
_DEVIATIONS = 1025
_SLOW = ("reference", *CIRCUIT_BACKENDS)  # backends that take seconds for an image
_SLOW_GROUP = 16  # images per group of theirs; after each group there is something that an interrupt can keep
_GROUP_VALUES = 4e6  # of a convolution's patches in such a group
_HIDDEN_GROUP = 500
_UNSETTLED = 0.05
_SHOWN = 20  # classes whose numbers of images a result shows
_LARGEST_X = 100.0  # no neuron, however far off its parts are, goes beyond
_LARGEST_PIXEL = 1e30  # sums of single precision stay within its range


@dataclass(frozen=True, repr=False)
class Result(Shown):
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

    def _card(self) -> Card:
        n, n_classes = self.scores.shape
        facts = {
            "readout": f"{self.readout}, {'recentred' if self.recentre else 'of x itself'}",
            "unsettled": f"{percent(self.unsettled)} of neurons and images",
            "largest deviation from -(a + I)": f"{self.identity_deviation:.2g}",
        }
        if self.table is not None:
            facts["response table"] = f"{counted(self.table.n_runs, 'run')}"
        counts = np.bincount(self.predictions, minlength=n_classes)
        grids = (
            [Grid(["class", *map(str, range(n_classes))], [["images", *counts.tolist()]])]
            if n_classes <= _SHOWN
            else []
        )
        return Card("Result", f"{counted(n, 'image')}, backend {self.backend}", facts, grids)

    def rows(self, labels: NDArray[np.integer] | None = None) -> list[dict[str, Any]]:
        """One row per image: its class, the score of that class, and how far the next class is behind.

        Parameters
        ----------
        labels
            Shape (n_images,): adds the true class and whether the circuit's is right.
        """
        ranked = np.sort(self.scores, axis=1)
        margin = ranked[:, -1] - ranked[:, -2] if self.scores.shape[1] > 1 else np.full(len(ranked), np.nan)
        columns = {"image": np.arange(len(ranked)), "class": self.predictions, "score": ranked[:, -1], "margin": margin}
        if labels is not None:
            columns |= {"label": np.asarray(labels), "right": self.predictions == labels}
        names = list(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]

    def frame(self, labels: NDArray[np.integer] | None = None) -> pandas.DataFrame:
        """The same as a data frame of pandas.

        Raises
        ------
        MissingProgramError
            Without pandas.
        """
        return data_frame(self.rows(labels))

    def plot(self, labels: NDArray[np.integer], ax: Axes | None = None) -> Axes:
        """How often images of each class are taken for which.

        Parameters
        ----------
        labels
            True classes, shape (n_images,).
        ax
            Axes to draw on; None: those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        on, labels = plots.canvas(ax), np.asarray(labels)
        counts = confusion(self.predictions, labels, max(self.scores.shape[1], int(labels.max()) + 1))
        title = f"{percent(self.accuracy(labels))} of {counted(len(labels), 'image')}"
        return plots.only_axes(plots.confusion(counts, title, on), on)


def make_backend(name: str, **options: Any) -> Backend:
    """Backend by name: reference, direct, brian, spice, vacask, or one that an installed package adds.

    Parameters
    ----------
    name
        One of `BACKENDS`, or the name that a package gives.
    **options
        Settings of the backend, such as ``reltol`` of spice; they go to its class.

    Raises
    ------
    InputError
        For an unknown name, or a class of an installed package that does not load or is no backend.
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
    if name == "vacask":
        from analog_fhn.backends.vacask import Vacask

        return Vacask(**options)
    added = plugin("backend", name)
    if added is None:
        raise InputError(f"backend {shown(name)}: expected one of {', '.join([*BACKENDS, *plugins('backend')])}")
    backend = added(**options)
    if not (callable(getattr(backend, "respond", None)) and isinstance(getattr(backend, "name", None), str)):
        raise InputError(f"backend {shown(name)}: {added.__name__} is no backend; expected a name and a method respond")
    return cast(Backend, backend)


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
    check_readouts(chip.network, readouts)
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
        serves = all(engine.means_serve(layer.cells, protocol) for layer in chip.layers)
        if serves and not _needs_samples(chip, readouts):
            means = [engine.means(layer.cells, protocol, window=window, progress=progress) for layer in chip.layers]
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
        Of its linear map, shape (n_runs, n_in): a run is an image, of a convolution a position of an image.
    drives, means
        Of its neurons, and the time averages of their x; each of shape (n_runs, n_neurons).
    values
        What it hands on of each image, shape (n_images, n_values): activations at all positions; None: of the layer in
        front of the output array if it is not held.
    """

    layer: HiddenLayer
    inputs: NDArray[np.floating]
    drives: FloatArray
    means: FloatArray
    values: FloatArray | None

    @property
    def deviations(self) -> FloatArray:
        """How far each time average is from the identity -(a + I), shape (n_runs, n_neurons)."""
        return np.abs(self.means - self.layer.cells.dynamics.identity_mean(self.drives))


def passes(
    chip: Chip,
    images: NDArray[np.floating],
    means_of: Callable[[int, FloatArray], FloatArray],
    sampled: RunNoise | None = None,
) -> Iterator[LayerPass]:
    """The one way from images to hidden layers: each layer's pass over all images, the first layer first.

    Parameters
    ----------
    images
        Shape (n_images, n_in).
    means_of
        Time averages of x of a layer, by its number, under drives (n_runs, n_neurons).
    sampled
        What is drawn anew at each run (`Chip.noise_of_runs`), by which images one after another differ;
        None: those of the chip's first images.
    """
    sampled = chip.noise_of_runs() if sampled is None else sampled
    values, ripple = np.asarray(chip.inputs(images)), None
    for number, layer in enumerate(chip.layers):
        inputs = layer.front.rows(values)
        drives = layer.drives(inputs, ripple, sampled.reads[number])
        means = means_of(number, drives)
        protocol, handed = chip.network.protocol, None
        if chip.network.held[number]:
            handed, ripple = held(layer, means, protocol, sampled.holds[number]).reshape(len(images), -1), None
        elif number < len(chip.layers) - 1:
            handed, ripple = handed_over(layer.cells, means, protocol, chip.low_passes_before(number))
        yield LayerPass(layer, inputs, drives, means, handed)
        if handed is not None:
            values = handed


def hidden_response(
    chip: Chip,
    images: NDArray[np.floating],
    engine: Backend,
    *,
    samples: bool = False,
    noise: Sequence[Noise] | None = None,
    progress: Callable[[int, int], None] | None = None,
    sampled: RunNoise | None = None,
) -> tuple[Response, list[LayerPass]]:
    """Response of the last hidden layer to images (n_images, n_in), all at once, and the passes of all layers.

    Parameters
    ----------
    samples
        Whether x(t) of the last layer is asked for.
    progress
        Called with (runs done, runs in all) over all layers.
    sampled
        As for `passes`.
    """
    n_layers, responses = len(chip.layers), []
    runs = [len(images) * layer.front.n_positions * len(layer.cells) for layer in chip.layers]

    def means_of(number: int, drives: FloatArray) -> FloatArray:
        def advance(done: int, total: int) -> None:
            if progress is not None:
                progress(sum(runs[:number]) + runs[number] * done // total, sum(runs))

        response = engine.respond(
            chip.layers[number].cells, drives, chip.network.protocol, samples=samples and number == n_layers - 1,
            progress=advance, noise=None if noise is None else noise[number],
        )  # fmt: skip
        responses.append(response)
        return response.mean

    every = list(passes(chip, images, means_of, sampled))
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


def held(layer: HiddenLayer, means: FloatArray, protocol: Protocol, sampled: Samples | None = None) -> FloatArray:
    """Activations that a layer's hold stages sample from its low-passes, without what they add at all images alike.

    Parameters
    ----------
    means
        Time averages of x, shape (n_runs, n).
    sampled
        Random numbers of the samples; what is left of the oscillation is sampled at any of its phases. None: neither
        this nor the noise of the stages.
    """
    rows = layer.cells.row_stage
    values = np.asarray(rows.held(protocol) * (rows.gain * means + rows.offset))
    if sampled is not None:
        noise = 0.0 if layer.hold is None else layer.hold.noise
        sigma = np.sqrt(layer.cells.ripple(means) + noise**2)
        values += sigma * sampled.normal(values.shape)
    return values


def activations(
    chip: Chip, images: NDArray[np.floating], engine: Backend, *, recentre: bool | None = None
) -> FloatArray:
    """Time averages of the rows of the output array, shape (n_images, n_rows), for images (n_images, n_in).

    Parameters
    ----------
    chip
        The manufactured sample.
    images
        Scaled as in training.
    engine
        What integrates the neurons.
    recentre
        Whether the rows carry the activation, or x itself; None: as the network says.
    """
    return layer_inputs(chip, images, engine, recentre=recentre)[-1]


def layer_inputs(
    chip: Chip, images: NDArray[np.floating], engine: Backend, *, recentre: bool | None = None
) -> list[FloatArray]:
    """What each linear map is given, the output layer's last, each of shape (n_runs, n_in of the map).

    A run is an image, of a convolution a position of an image.

    Parameters
    ----------
    images, recentre
        As for `activations`.
    """
    return layer_values(chip, images, engine, recentre=recentre)[0]


def layer_values(
    chip: Chip, images: NDArray[np.floating], engine: Backend, *, recentre: bool | None = None
) -> tuple[list[FloatArray], list[FloatArray]]:
    """What each linear map is given, and what each hidden layer makes of it.

    Parameters
    ----------
    images, recentre
        As for `activations`.

    Returns
    -------
    inputs
        As `layer_inputs`.
    outputs
        Of each hidden layer what its rows carry, on the time average, or hold; shape (n_runs, n).
    """
    recentre = chip.network.recentre if recentre is None else recentre
    check_readouts(chip.network, [("mean", recentre)])
    size, sampled = _group(chip), chip.noise_of_runs()
    inputs: list[list[FloatArray]] = [[] for _ in (*chip.layers, chip.output)]
    outputs: list[list[FloatArray]] = [[] for _ in chip.layers]
    for first in range(0, len(images), size):
        response, every = hidden_response(chip, images[first : first + size], engine, sampled=sampled)
        rows = _rows_of_output(chip, response, every[-1], recentre)
        for number, one in enumerate(every):
            inputs[number].append(np.asarray(one.inputs, dtype=np.float64))
            behind = rows if one.values is None else one.values
            outputs[number].append(behind.reshape(len(one.means), -1))
        inputs[-1].append(rows)
    return [np.concatenate(groups) for groups in inputs], [np.concatenate(groups) for groups in outputs]


def _rows_of_output(chip: Chip, response: Response, last: LayerPass, recentre: bool) -> FloatArray:
    """Time averages of the rows of the output array, shape (n_images, n_rows)."""
    if last.values is not None:
        return np.asarray(chip.output.front.rows(last.values))
    gain, offset = chip.last.cells.row_stage.of(recentre)
    return np.asarray(gain * response.mean + offset)


def _group(chip: Chip) -> int:
    """Images whose runs are simulated at a time where only means are asked for."""
    widest = max(layer.front.n_positions * max(layer.weights.shape) for layer in chip.layers)
    return max(1, min(_GROUP, int(_GROUP_VALUES / widest)))


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
    group, sampled = _group(chip), chip.noise_of_runs()
    total = 0
    if with_samples:
        copies = 1 if chip.network.before_output is None else 2
        per_image = protocol.n_samples * (copies * len(chip.last.cells) + 3 * n_classes) * 4
        group = max(1, int(_SAMPLE_BYTES / per_image))
    if engine.name in _SLOW:
        group = min(group, _SLOW_GROUP)
    judged = 0
    with kept(lambda: judged):
        for first in range(0, n_images, group):
            part = slice(first, min(first + group, n_images))

            def advance(done: int, total: int, first: int = first, size: int = part.stop - first) -> None:
                if progress is not None:
                    progress(first + size * done // total, n_images)

            response, every = hidden_response(
                chip, images[part], engine, samples=with_samples, progress=advance,
                noise=None if noise is None else _noise_from(chip, noise, first), sampled=sampled,
            )  # fmt: skip
            for one in every:
                deviations = one.deviations
                unsettled += int(np.count_nonzero(deviations > _UNSETTLED))
                total += deviations.size
                largest = max(largest, float(np.max(deviations)))
            for target, value in zip(scores, _read(chip, response, every[-1], readouts, sampled), strict=True):
                target[part] = value
            judged = part.stop
    return [values[:judged] for values in scores], (unsettled / total, largest)


def _noise_from(chip: Chip, noise: Sequence[Noise], first: int) -> list[Noise]:
    """Noise of all layers for runs that begin with image number `first`."""
    return [one.from_image(first * layer.front.n_positions) for one, layer in zip(noise, chip.layers, strict=True)]


def _looked_up(
    chip: Chip, means: Sequence[MeanTable], images: NDArray[np.floating], readouts: Sequence[tuple[Readout, bool]]
) -> tuple[list[FloatArray], float]:
    """Scores of the mean readout in double precision, and the share of neurons and images off the identity."""
    scores = [np.empty((len(images), chip.network.layer_sizes[-1])) for _ in readouts]
    unsettled, total, size, sampled = 0, 0, _group(chip), chip.noise_of_runs()
    with single_blas():
        for first in range(0, len(images), size):
            part = slice(first, first + size)
            look_up = lambda number, drives: means[number].look_up(drives)  # noqa: E731
            every = list(passes(chip, images[part], look_up, sampled))
            for one in every:
                unsettled += int(np.count_nonzero(one.deviations > _UNSETTLED))
                total += one.means.size
            last = every[-1]
            read = _read(chip, Response(last.means), last, readouts, sampled)
            for target, value in zip(scores, read, strict=True):
                target[part] = value
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
    if not chip.network.held[-1] and chip.output.excess is not None:
        raise InputError("means alone do not serve an output array whose devices are not ohmic")
    layers = [_FastLayer.of(chip, number, table) for number, table in enumerate(tables)]
    first_layer, kept = layers[0], chip.network.held[-1]
    if first_layer.front == PLAIN and pixels is None:
        pixels = Pixels.of(images)
    stages = [(chip.output.weights, chip.output.bias) if kept else chip.scores_of_rows(case) for case in recentre]
    outputs = [(rows.astype(product_type(rows, level, _LARGEST_X)), level) for rows, level in stages]
    scores = [np.empty((len(images), len(level))) for _, level in outputs]
    sampled = chip.noise_of_runs()
    size = min(_HIDDEN_GROUP, *(layer.images_at_a_time for layer in layers))
    with single_blas():
        for first in range(0, len(images), size):
            part = slice(first, min(first + size, len(images)))
            x = first_layer.of_images(images, part, pixels, sampled.reads[0])
            for number, layer in enumerate(layers):
                x = x if layer is first_layer else layer.of_values(x, sampled.reads[number])
                x = layer.hold_values(x, part.stop - first, sampled.holds[number])
            x = chip.output.front.rows(x) if kept else x
            noise = _score_noise(sampled, part.stop - first, len(scores[0].T))
            for target, (rows, level) in zip(scores, outputs, strict=True):
                target[part] = x @ rows + level + noise
                if kept:
                    target[part] += chip.output.excess_of(x)
    return scores


@dataclass(frozen=True, eq=False)
class _FastLayer:
    """A hidden layer from what it is given to what it hands on, in the precision that its weights ask for.

    Parameters
    ----------
    layer
        The layer.
    weights, shift
        Argument of the drive stage's curve as ``inputs @ weights + shift``; inputs are images, activations that are
        held, or means of x of the layer before. The shift may differ from position to position.
    table
        Grid places per unit of the curve, grid place of its 0, and means at the grid's places; see `MeanTable.behind`.
    before
        Cells of the layer before; None: they leave no ripple, or there are none.
    squares
        Of the weights from the activations of the layer before to the argument of the curve.
    activation
        Gain and offset from the mean of x to the activation that is held; None: the next layer is given the mean.
    deviation
        Standard deviation of y at time averages of x that lie evenly from -1 to 1; see `analog_fhn.hold.add_samples`.
    handed
        Gain and offset from the mean of x of the layer before to its activation; None: images and held activations.
    """

    layer: HiddenLayer
    weights: NDArray[np.floating]
    shift: NDArray[np.floating]
    table: tuple[NDArray[np.floating], ...]
    before: Cells | None
    squares: FloatArray | None
    activation: tuple[NDArray[np.floating], NDArray[np.floating]] | None
    deviation: FloatArray
    handed: tuple[FloatArray, FloatArray] | None = None

    @classmethod
    def of(cls, chip: Chip, number: int, table: MeanTable) -> _FastLayer:
        layer, protocol = chip.layers[number], chip.network.protocol
        stage = layer.cells.drive_stage
        if not isinstance(stage, DriveStage):
            raise InputError(f"means alone do not serve a network with {chip.network.stages_text}")
        z, z_shift, largest = layer.weights * stage.slope, stage.shift + stage.slope * layer.biases, _LARGEST_X
        before, squares, handed = None, None, None
        if number == 0:
            largest = max(1.0, *map(abs, chip.network.input_range))
        elif chip.network.held[number - 1]:
            largest = _LARGEST_X * max(1.0, chip.network.ceilings[number - 1])
        else:
            cells = chip.layers[number - 1].cells
            rows = cells.row_stage
            share = rows.handed_over(protocol, chip.low_passes_before(number - 1))
            if np.any(rows.time_constant):
                before, squares = cells, z**2
            handed = share * rows.gain, share * rows.offset
            z_shift = z_shift + (share * rows.offset) @ z
            z = (share * rows.gain)[:, None] * z
        kind = product_type(z, z_shift, largest)
        behind = tuple(np.asarray(a, dtype=kind) for a in table.behind(stage))
        activation = None
        if chip.network.held[number]:
            rows, share = layer.cells.row_stage, layer.cells.row_stage.held(protocol)
            activation = (share * rows.gain).astype(kind), (share * rows.offset).astype(kind)
        deviation = np.zeros(_DEVIATIONS)
        if np.any(layer.cells.ripple_per_y):
            # Of neurons that differ in it, the average one
            grid = np.linspace(-1.0, 1.0, _DEVIATIONS)[:, None] * (1.0 - 1e-12)
            deviation = np.sqrt(layer.cells.dynamics.slow_variance(grid).mean(axis=-1))
        return cls(layer, z.astype(kind), z_shift.astype(kind), behind, before, squares, activation, deviation, handed)

    @property
    def front(self) -> Front:
        """What stands in front of the layer."""
        return self.layer.front

    @property
    def images_at_a_time(self) -> int:
        """Images whose patches stay in the cache."""
        return max(1, int(_PATCH_VALUES / (self.front.n_positions * max(self.weights.shape))))

    def of_images(
        self, images: NDArray[np.floating], part: slice, pixels: Pixels | None, noise: ReadNoise | None
    ) -> NDArray[np.floating]:
        """Means of x for some of the images, of all positions of a convolution."""
        if pixels is not None and self.front == PLAIN:
            argument = np.empty((part.stop - part.start, self.weights.shape[1]), dtype=self.weights.dtype)
            pixels.times(self.weights, self.shift, part, argument)
        else:
            argument = self._argument(np.asarray(images[part], dtype=self.weights.dtype))
        self._add(noise, argument)
        self._add_excess(np.asarray(images[part]), argument)
        self.means(argument)
        return argument

    def _add_excess(self, values: NDArray[np.floating], argument: NDArray[np.floating]) -> None:
        """Add to arguments of the curve (n_runs, n) what curved characteristics of the devices do.

        Parameters
        ----------
        values
            Images, activations that are held, or means of x of the layer before.
        """
        if self.layer.excess is None:
            return
        if self.handed is not None:
            gain, offset = self.handed
            values = gain * values + offset
        stage = self.layer.cells.drive_stage
        assert isinstance(stage, DriveStage)
        argument += (stage.slope * self.layer.excess_of(self.front.rows(values))).astype(argument.dtype)

    def _add(self, noise: ReadNoise | None, argument: NDArray[np.floating]) -> None:
        """Add the noise of the read-out to arguments of the curve (n_runs, n)."""
        if noise is not None:
            stage = self.layer.cells.drive_stage
            assert isinstance(stage, DriveStage)
            argument += noise.drawn(argument.shape) * stage.slope.astype(argument.dtype)

    def of_values(self, values: NDArray[np.floating], noise: ReadNoise | None) -> NDArray[np.floating]:
        """Means of x for what the layer before hands on: means of its x, or activations that it holds."""
        variance = None
        if self.before is not None and self.squares is not None:
            variance = self.before.ripple(np.asarray(values, dtype=np.float64)) @ self.squares
        argument = self._argument(values.astype(self.weights.dtype, copy=False))
        self._add(noise, argument)
        self._add_excess(values, argument)
        self.means(argument, variance)
        return argument

    def _argument(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        argument: NDArray[np.floating] = self.front.rows(values) @ self.weights
        if self.shift.ndim == 1:
            argument += self.shift
            return argument
        return at_positions(argument, self.shift)

    def means(self, argument: NDArray[np.floating], variance: FloatArray | None = None) -> None:
        """Put the means of x in the place of the curve's arguments (n_runs, n), whose ripple has this variance."""
        from analog_fhn.backends.table.means import interpolate

        ramp = isinstance(self.layer.cells.drive_stage, RampStage)
        if ramp and variance is None:
            np.clip(argument, 0.0, 1.0, out=argument)
        elif ramp:
            argument[...] = ramp_with_ripple(argument, variance)
        else:
            np.tanh(argument, out=argument)
            if variance is not None:
                argument[...] = tanh_with_ripple(argument, variance)
        interpolate(argument, *self.table)

    def hold_values(self, x: NDArray[np.floating], n_images: int, sampled: Samples | None) -> NDArray[np.floating]:
        """What is handed on of means (n_runs, n): these, or activations that are held (n_images, n_values)."""
        if self.activation is None:
            return x
        gain, offset = self.activation
        values = gain * x + offset
        if sampled is not None:
            per_y, noise = self.layer.cells.ripple_per_y, 0.0 if self.layer.hold is None else self.layer.hold.noise
            add_samples(values, x, sampled.normal(x.shape), per_y, self.deviation, noise)
        return np.asarray(values.reshape(n_images, -1))


def _read(
    chip: Chip,
    response: Response,
    last: LayerPass,
    readouts: Sequence[tuple[Readout, bool]],
    sampled: RunNoise,
) -> list[FloatArray]:
    """Scores (n_images, n_classes) for each (readout, recentre), from one response and pass of the last layer."""
    n_images = len(response.mean) // last.layer.front.n_positions
    noise = _score_noise(sampled, n_images, chip.network.layer_sizes[-1])
    return [scores + noise for scores in _scores(chip, response, last, readouts)]


def _score_noise(sampled: RunNoise, n_images: int, n_classes: int) -> NDArray[np.float32] | float:
    """Noise that the read-out of the output array adds to the scores."""
    noise = sampled.reads[-1]
    return 0.0 if noise is None else noise.drawn((n_images, n_classes))


def _scores(
    chip: Chip, response: Response, last: LayerPass, readouts: Sequence[tuple[Readout, bool]]
) -> list[FloatArray]:
    """Scores without noise of the output array's read-out; see `_read`."""
    scores: list[FloatArray] = []
    for readout, recentre in readouts:
        if last.values is not None:
            rows = chip.output.front.rows(last.values)
            scores.append(rows @ chip.output.weights + chip.output.bias + chip.output.excess_of(rows))
            continue
        if readout == "mean" and chip.network.before_output is None and chip.output.excess is None:
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
    if chip.output.excess is not None:
        return _curved_outputs(chip, samples, recentre)
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


def _curved_outputs(
    chip: Chip, samples: NDArray[np.float32], recentre: bool
) -> tuple[NDArray[np.floating], FloatArray]:
    """Output layer whose devices are not ohmic at each instant; see `outputs_over_time`."""
    gain, offset = chip.last.cells.row_stage.of(recentre)
    outputs = np.empty((*samples.shape[:2], chip.output.weights.shape[1]))
    size = max(1, int(_SAMPLE_BYTES / (16 * samples.shape[1] * samples.shape[2])))
    for first in range(0, len(samples), size):
        part = slice(first, first + size)
        rows = (gain * samples[part] + offset).reshape(-1, samples.shape[2])
        outputs[part] = (rows @ chip.output.weights + chip.output.excess_of(rows, recentre)).reshape(
            outputs[part].shape
        )
    return outputs, chip.output.bias_of(recentre)


def _needs_samples(chip: Chip, readouts: Sequence[tuple[Readout, bool]]) -> bool:
    """Whether x(t) is needed; means suffice where the scores are linear in x, and drives stem from a tanh."""
    if not chip.network.held[-1] and chip.output.excess is not None:
        return True
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


def check_readouts(network: Network, readouts: Sequence[tuple[Readout, bool]]) -> None:
    """Check that a network whose last activations are held is read as it can be.

    Raises
    ------
    InputError
        If so, and a readout is the vote, or without recentring: held rows carry activations that do not oscillate.
    """
    if network.held[-1] and any(readout != "mean" or not recentre for readout, recentre in readouts):
        raise InputError(
            "the activations in front of the output layer are held (it stands behind a convolution or a mean), so that "
            "nothing oscillates there; expected readout 'mean', with recentring"
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
