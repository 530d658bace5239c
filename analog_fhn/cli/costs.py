"""What the commands take, from their options and the sizes of what they were given.

The constants are orders of magnitude, measured on one machine of two cores at 2 to 3 GHz (2026); they decide whether
work is announced or refused, and whoever knows better insists.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from analog_fhn._support.estimate import Work, product
from analog_fhn._support.threads import usable_cores
from analog_fhn.cli import console
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from analog_fhn.montecarlo.plan import Sweep, SweepPoint
    from analog_fhn.network import Network
    from analog_fhn.neuron import Protocol
    from analog_fhn.reconstruct.pipeline import FitOptions
    from analog_fhn.technology.technology import Technology
    from analog_fhn.training.layers import Plan

# Seconds of one core.
_DIRECT_STEP = 5e-10  # a neuron's step
_BRIAN_STEP = 3e-8
_REFERENCE_TIME = 0.07  # of a neuron, per T
_SPICE_TIME = 2e-3
_MEAN = 1e-5  # a neuron's mean at one drive in a table of means, at eps = 0.01
_WAVE = 1e-3  # its waveform in another table
_READ = 1 / 7  # an image read from a table of waveforms, of what simulating it takes
_DEVICE = 2.5e-7  # a weight that is drawn and mapped
_PRODUCT = 3.5e-11  # a multiplication of a matrix product in single precision
_HELD = 3e-8  # an activation that is held, besides
_TRAINED = 3e-10  # likewise with its way back
_HELD_TRAINED = 4e-8  # a convolution's activation in training, besides
_BATCH = 3e-4  # a training step besides
_AUTOENCODER_STEP = 1e-3
_MAP_PRODUCT = 1e-10  # in the normal equations of a map
_ROLLOUT = 1e-6  # a step of a map that is trained on several, per window
_POINT = 5e-3  # a point of a plan, whose design is tried out

# Bytes.
_WORKER = 150e6
_TASK = 200.0  # a trial that waits
_ROW = 400.0  # a trial's row without its confusion
_PER_WEIGHT = 500.0  # of a chip, with all that its arrays are made of
_TUNING_TIME = 5.5  # T, of a run that tunes equations
_TEXT = 250.0  # a weight in netlists and tables
_SAMPLES = 200e6  # samples of a group of images
_DRIVE_ENTRY = 64.0  # a neuron at one drive, in a table of means
_WAVE_ENTRY = 4096.0  # its waveform, and copies


@dataclass(frozen=True)
class Size:
    """What a network is made of, as far as it takes time and memory.

    Parameters
    ----------
    neurons
        Cells of all hidden layers.
    runs
        Runs of them that an image takes: of a convolution's at every position.
    weights, products
        Weights of all layers, and multiplications with them that an image takes.
    held
        Activations of an image that are held.
    outputs
        Classes.
    """

    neurons: int
    runs: int
    weights: float
    products: float
    held: int
    outputs: int

    @classmethod
    def of(cls, network: Network) -> Size:
        """That of a network."""
        layers = list(zip(network.dense, (front.n_positions for front in network.fronts), strict=True))
        held = zip(network.hidden_layers, network.held, strict=True)
        return cls(
            sum(one.n_out for one, _ in layers[:-1]),
            sum(one.n_out * uses for one, uses in layers[:-1]),
            math.fsum(product(one.n_in, one.n_out) for one, _ in layers),
            math.fsum(product(one.n_in, one.n_out, uses) for one, uses in layers),
            sum(one.n_values for one, kept in held if kept),
            network.output.n_out,
        )

    @classmethod
    def of_layers(cls, layers: Sequence[int] | Plan) -> Size:
        """That of layers to be trained, or of dense ones of these sizes, inputs and classes among them."""
        if not isinstance(layers, Sequence):
            hidden, maps = layers.hidden, layers.maps
            return cls(
                sum(one.n_out for one in hidden),
                sum(one.n_values for one in hidden),
                math.fsum(product(one.n_in, one.n_out) for one in maps),
                math.fsum(product(one.n_in, one.n_out, one.n_positions) for one in maps),
                sum(one.n_values for one, kept in zip(hidden, layers.held, strict=True) if kept),
                maps[-1].n_out,
            )
        neurons, weights = sum(layers[1:-1]), _weights(layers)
        return cls(neurons, neurons, weights, weights, 0, layers[-1])


def classification(
    network: Network, n_images: int, *, backend: str = "direct", table: int | None = None, noisy: bool = False
) -> Work:
    """Images through a network with FHN neurons, simulated or read from a response table of so many drives."""
    return _classification(
        Size.of(network), network.protocol, network.fhn.eps, n_images, backend=backend, table=table, noisy=noisy,
        samples=network.readout == "vote" or not network.plain_stages,
    )  # fmt: skip


def classification_by(
    layers: Sequence[int] | Plan,
    protocol: Protocol,
    eps: float,
    n_images: int,
    *,
    backend: str = "direct",
    table: int | None = None,
    noisy: bool = False,
    samples: bool = False,
) -> Work:
    """As `classification`, of a network that is not there yet; `layers` as for `Size.of_layers`."""
    return _classification(
        Size.of_layers(layers), protocol, eps, n_images, backend=backend, table=table, noisy=noisy, samples=samples
    )


def _classification(
    size: Size, protocol: Protocol, eps: float, n_images: int, *, backend: str, table: int | None, noisy: bool,
    samples: bool,
) -> Work:  # fmt: skip
    time = protocol.settle + protocol.control
    seconds = _runs(backend, product(n_images, size.runs), time, eps, protocol.interval, noisy=noisy)
    memory = product(n_images, size.neurons + size.outputs, 32) + product(size.weights, _PER_WEIGHT)
    memory += min(product(n_images, size.held, 64), 3.0 * _SAMPLES)
    if samples:
        memory += max(_SAMPLES, product(protocol.control / protocol.interval, size.neurons, 8))
    runs = "" if size.runs == size.neurons else f" at {size.runs / size.neurons:.4g} positions"
    said = f"{n_images} images, {size.neurons} neurons{runs}, settle {protocol.settle:g}, control {protocol.control:g}"
    said += f", eps {eps:g}, {backend}"
    if table is not None:
        said += f", table {table}"
        making, kept = _table(backend, table, size.neurons, protocol, eps, waves=samples or backend != "direct")
        read = product(n_images, size.products, _PRODUCT) + product(n_images, size.held, _HELD)
        seconds, memory = making + (product(seconds, _READ) if samples else read), memory + kept
    return Work(said, seconds, memory)


def sweep_plan(plan: Sweep, network: Network, technology: Technology, workers: int) -> Work:
    """What the numbers of a plan alone make large, before its points are made; with so many processes here."""
    choices = (len(plan.points or [1]), *(len(values) for values in (plan.grid or {}).values()))
    points = product(*choices) + (2 * len(technology.ERRORS) if plan.sensitivity else 0)
    trials = product(points, plan.chips)
    if plan.allocation is not None:
        trials = max(trials, product(plan.allocation.chips + plan.allocation.confirm))
    cause = f"points {points:g}, chips {plan.chips}, workers {workers}"
    if plan.allocation is not None:
        cause += f", allocation.chips {plan.allocation.chips}, allocation.confirm {plan.allocation.confirm}"
    row = _ROW + 5.0 * network.layer_sizes[-1] ** 2
    memory = product(workers, _WORKER) + product(trials, _TASK)
    return Work(cause, product(points, 2 * _POINT), memory, product(trials, row))


def sweep(
    plan: Sweep, points: Sequence[SweepPoint], network: Network, n_images: int, workers: int | None, folder: Path
) -> Work:
    """Trials of all points of a plan; with sequential stopping it is the most.

    Parameters
    ----------
    workers
        Processes of this machine; None: a cluster, taken for one of a hundred.
    """
    from analog_fhn.backends.table.backend import default_drives
    from analog_fhn.montecarlo.plan import NETWORK_SETTINGS

    each = []
    for point in points:
        options = {key: value for key, value in point.settings.items() if key in NETWORK_SETTINGS}
        changed = network.with_options(**options)
        table = default_drives(plan.backend, changed.readout) if plan.table is None else plan.table
        each.append(classification(changed, n_images, backend=plan.backend, table=table or None))
    drawn = 1e-3 + product(Size.of(network).weights, _DEVICE)
    longest = max(each, key=lambda work: work.seconds)
    chip = drawn + longest.seconds
    chips = product(len(points), plan.chips)
    here, at_a_time = (0, 100) if workers is None else (workers, min(workers, usable_cores()))
    said = f"points {len(points)}, chips {plan.chips}, each {longest.cause}"
    row = _ROW + 5.0 * network.layer_sizes[-1] ** 2
    return Work(
        said,
        product(chips, chip, 1 / at_a_time),
        product(here, _WORKER + max(work.memory for work in each)) + product(chips, _TASK),
        product(chips, row) + product(n_images, network.layer_sizes[0], 10),
        folder,
    )


def training(
    layers: Sequence[int] | Plan,
    n_images: int,
    epochs: int,
    batch: int,
    *,
    chips: int = 0,
    protocol: Protocol | None = None,
) -> Work:
    """Training of a network.

    Parameters
    ----------
    layers
        As for `Size.of_layers`.
    chips
        Chips that neurons are drawn from; 0: none.
    protocol
        Whose samples are seen; None: none are.
    """
    size = Size.of_layers(layers)
    steps = math.ceil(n_images / batch)
    named = "-".join(map(str, layers)) if isinstance(layers, Sequence) else layers.text
    # Around a convolution's products each of its activations is interpolated, and goes through memory several times.
    seconds = product(n_images, size.products, _TRAINED) + product(n_images, size.held, _HELD_TRAINED)
    seconds = product(epochs, seconds + steps * _BATCH)
    memory = product(size.weights, 40) + product(min(batch, n_images), size.runs, 48)
    said = f"training of {named} over {epochs} epochs of {n_images} images, batch {batch}"
    if chips:
        said += f", chips {chips}"
        seconds += product(chips, product(size.weights, _DEVICE) + product(size.neurons, 33, _MEAN))
        memory += product(chips, size.neurons, 33, 16) + product(size.weights, _PER_WEIGHT)
    if protocol is not None:
        said += f", settle {protocol.settle:g}, control {protocol.control:g}"
        memory += product(size.neurons, 33, protocol.control / protocol.interval, 8)
    return Work(said, seconds, memory)


def frontier(
    network: Network,
    n_images: int,
    gammas: int,
    times: Sequence[float],
    low_passes: int = 0,
    *,
    control: Sequence[float] | None = None,
) -> Work:
    """Simulation of all images for each gamma, and of the nominal chip for each low-pass; powers in ngspice before.

    One simulation serves all settling times and control windows, as in `analog_fhn.studies.frontier`; with several
    hidden layers each pair of them has its own.
    """
    from analog_fhn.studies.frontier import CONTROL, INTERVAL

    size, deep = Size.of(network), len(network.hidden_layers) > 1
    pairs = [settle + window for settle in times for window in (control or CONTROL)]
    longest = max(pairs)
    tables = _held_table(network)
    if network.held[-1]:
        one = classification(network, n_images, table=tables)
        seconds, memory = product(len(pairs), one.seconds), one.memory
    else:
        simulated = sum(pairs) if deep else longest
        last = network.hidden_layers[-1].n_out if size.held else size.neurons  # what is held is read from tables
        seconds = _runs("direct", product(n_images, last), simulated, network.fhn.eps, INTERVAL)
        seconds += product(n_images, len(pairs), size.held, _HELD)
        memory = max(_SAMPLES, product(longest / INTERVAL, size.neurons + 3 * size.outputs, 8))
    powers = _runs("spice", size.neurons, network.protocol.settle + network.protocol.control, network.fhn.eps)
    said = f"{gammas} gammas, {n_images} images, {size.neurons} neurons, {longest:g} T sampled every {INTERVAL:g} T"
    choices = Work(said, product(gammas, seconds + powers), memory + product(size.weights, _PER_WEIGHT))
    if not low_passes:
        return choices
    of_each = repeated(classification(network, n_images, table=tables), low_passes, "low-passes")
    return together([choices, of_each])


def _held_table(network: Network) -> int | None:
    """Drives of the table by which studies judge a network whose activations are held; None: they need none."""
    from analog_fhn.backends.table.backend import default_drives

    return default_drives("direct", "mean") if any(network.held) and network.readout == "mean" else None


def comparison(
    network: Network,
    n_images: int,
    *,
    noise_images: int,
    brian_images: int,
    spice_images: int,
    spice_table: int,
    vacask_images: int = 0,
) -> Work:
    """Stages of `compare`: about eight by `direct`, and the slower ones on fewer images."""
    return together([
        classification(network, 8 * n_images, table=_held_table(network)),
        classification(network, min(noise_images, n_images), noisy=True),
        classification(network, min(brian_images, n_images), backend="brian"),
        classification(network, min(spice_images, n_images), backend="spice"),
        classification(network, n_images if spice_table else 0, backend="spice", table=spice_table),
        classification(network, min(vacask_images, n_images), backend="vacask"),
    ])  # fmt: skip


def repair(
    network: Network, *, labelled: int, held_out: int, trained: int, drives: int, rounds: int, epochs: int,
    backend: str, table: int,
) -> Work:  # fmt: skip
    """Steps of `trim` on a simulated chip."""
    shown = classification(network, labelled + held_out, backend=backend, table=table or None)
    size = Size.of(network)
    neurons = size.neurons
    # Each round writes and measures the arrays; each of the steps shows images before and after.
    seconds = product(rounds + 8, shown.seconds + product(size.weights, 10 * _DEVICE))
    seconds += product(epochs, trained, size.products, _TRAINED)
    if not table:
        time = network.protocol.settle + network.protocol.control
        seconds += _runs(backend, product(drives, neurons), time, network.fhn.eps)
    said = f"drives {drives}, rounds {rounds}, epochs {epochs}, {shown.cause}"
    return Work(said, seconds, shown.memory + product(drives, neurons, _DRIVE_ENTRY) + product(trained, neurons, 16))


def reconstruction(options: FitOptions, n_samples: float) -> Work:
    """Autoencoder and maps from so many samples."""
    latent = options.largest_latent if options.latent is None else options.latent
    columns = latent + 1
    if options.polynomial is None:
        unknowns = product(options.map.hidden, columns + 2 + latent)
        shape = f"hidden {options.map.hidden}"
    else:
        # Terms of a polynomial up to this order, by the logarithm of the binomial coefficient.
        order = min(product(options.polynomial), 1e15)
        log = math.lgamma(order + columns + 1) - math.lgamma(order + 1) - math.lgamma(columns + 1)
        unknowns = product(latent, math.exp(log) if log < 700 else math.inf)
        shape = f"polynomial {options.polynomial}"
    one = product(options.map.iterations, options.map.samples + unknowns, unknowns, unknowns, _MAP_PRODUCT)
    if options.refine is not None and options.polynomial is None:
        ahead = min(options.refine.ahead, n_samples)
        one += product(options.refine.updates, options.refine.batch, ahead, _ROLLOUT)
        shape += f", updates {options.refine.updates}"
    scans = 0 if options.latent is not None else options.largest_latent
    autoencoder = product(options.autoencoder.steps, _AUTOENCODER_STEP) + product(
        scans, options.scan_steps, _AUTOENCODER_STEP
    )
    memory = product(options.map.samples + unknowns, unknowns, 16) + product(
        n_samples, min(options.dimension, n_samples), 24
    )
    memory += product(latent, options.dimension, 400) + product(options.autoencoder.steps, 8)
    said = (
        f"{n_samples:g} samples, dimension {options.dimension}, latent {latent}, {shape}, restarts {options.restarts}, "
        f"steps {options.autoencoder.steps}"
    )
    return Work(said, autoencoder + product(options.restarts, one), memory)


def layout(network: Network, folder: Path, *, exported: bool) -> Work:
    """A chip whose arrays are looked at, and written as text if it is exported."""
    weights = Size.of(network).weights
    text = product(weights, _TEXT) if exported else 0.0
    said = f"a chip of {network.sizes_text}"
    return Work(said, product(weights, 20 * _DEVICE), product(weights, 2 * _PER_WEIGHT) + text, text, folder)


def check_work(work: Work, *, yes: bool) -> None:
    """Refuse work that is beyond the machine unless the user insists; say on standard error how long it takes.

    Raises
    ------
    InputError
        For more memory or disk than there is, or more than a year.
    """
    beyond = work.beyond()
    if beyond is not None and not yes:
        raise InputError(f"{beyond}; expected less, or --yes to insist")
    warning = beyond or work.lasting()
    if warning is not None:
        console.warn(f"warning: {warning}")


def together(works: Iterable[Work]) -> Work:
    """Works one after the other, said by the largest."""
    every = list(works)
    largest = max(every, key=lambda work: (work.seconds, work.memory))
    return Work(largest.cause, sum(work.seconds for work in every), max(work.memory for work in every))


def repeated(work: Work, number: int, what: str) -> Work:
    """A work so many times; `what` says of what there are so many."""
    return replace(work, cause=f"{what} {number}, each {work.cause}", seconds=product(number, work.seconds))


def _runs(backend: str, number: float, time: float, eps: float, interval: float = 0.2, *, noisy: bool = False) -> float:
    """Wall seconds of so many simulations of a neuron over `time` T."""
    match backend:
        case "reference":  # has one core
            return product(number, time, _REFERENCE_TIME)
        case "spice" | "vacask":
            return product(number, time, _SPICE_TIME) / usable_cores()
        case "brian":
            return product(number, time / ((0.1 if noisy else 0.5) * eps), _BRIAN_STEP)
    step = min((0.2 if noisy else 0.5) * eps, 0.02, interval)
    return product(number, time / step, _DIRECT_STEP) / usable_cores()


def _table(backend: str, n: int, neurons: int, protocol: Protocol, eps: float, *, waves: bool) -> tuple[float, float]:
    """Wall seconds and bytes of a response table, its comparisons with the control window among them."""
    from analog_fhn.backends.base import CIRCUIT_BACKENDS

    time = protocol.settle + protocol.control
    entries = product(n, neurons)
    if backend in CIRCUIT_BACKENDS:
        # What tunes the equations, which then fill the table; and a few runs of the protocol
        tuning = _runs(backend, product(n + 3, neurons), _TUNING_TIME, eps)
        own = _runs(backend, min(64.0, max(4.0, product(20, neurons, 1 / time))), time, eps)
        return tuning + own, product(33, neurons, _WAVE_ENTRY)
    checks = min(64.0, max(8.0, product(100, neurons, 1 / time)))
    compared = _runs(backend, checks, time, eps)
    if not waves:
        return compared + product(entries, _MEAN, max(1.0, 0.01 / eps)) / usable_cores(), product(entries, _DRIVE_ENTRY)
    number = entries + product(14, neurons)  # with those that find onsets, and the checks
    making = _runs(backend, number, 40.0, eps) + product(number, _WAVE, 0.01 / eps) / usable_cores()
    return compared + making, product(entries, _WAVE_ENTRY) + max(_SAMPLES, product(20.0 / (0.5 * eps), 4))


def _weights(sizes: Sequence[int]) -> float:
    return sum(product(one, other) for one, other in itertools.pairwise(sizes))
