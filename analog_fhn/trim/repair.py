"""The repair of one chip, step by step: what each step brings on held-out images, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import MIN_DRIVES, Table
from analog_fhn.chip import Chip
from analog_fhn.data.class_shares import missing_classes
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.trim.bench import Bench, Costs
from analog_fhn.trim.codes import Lines, beyond_gain_codes, codes_of_ends, codes_of_responses, fit_lines
from analog_fhn.trim.finetune import (
    Images,
    as_written,
    null_outputs,
    tune,
    with_bias_that_can_be_made,
    write_inputs,
    write_readout,
)
from analog_fhn.trim.identify import Twin, measure_ends, measure_inputs
from analog_fhn.trim.readout import (
    FOLDS,
    PENALTIES,
    Readout,
    fit_readout,
    folds,
    near_chance,
    train_readout,
)
from analog_fhn.trim.writing import Written

StepName = Literal["trim", "readout", "finetune"]
Reprogram = Literal["output", "both"]

STEPS: tuple[StepName, ...] = get_args(StepName)

_INWARD = 0.95  # of the range of the drive: where the outermost test drives stand
_END_ROUNDS = 2
_TWIN_ITERATIONS = 60
_TUNED_ROUNDS = 4
_CHECKED = 200  # images that the twin is compared with the chip on
_PER_NEURON = 3  # images per neuron that output weights are measured with
_VALIDATED = 5000  # images on which a penalty is chosen, where there are as many


@dataclass(frozen=True)
class Step:
    """Outcome of one step.

    Parameters
    ----------
    name
        "as made", "trim", "readout" or "finetune".
    accuracy
        On the held-out images, read from the chip; reading them is no part of the costs.
    runs, readings, pulses
        Cost of this step; see `Costs`.
    seconds
        Time of the runs on the chip (s).
    saturated
        Codes that were asked for beyond their range.
    facts
        What else the step found.
    """

    name: str
    accuracy: float
    runs: int
    readings: int
    pulses: int
    seconds: float
    saturated: int
    facts: dict[str, float]


@dataclass(frozen=True)
class Options:
    """How a chip is repaired.

    Parameters
    ----------
    drives
        Test drives per neuron.
    rounds
        Rounds of writing an array: after each its weights are measured, and what is worth it is written again; 1: every
        device once.
    verify
        Tolerance that the bench verifies each writing with, as a share of g_max; None: as the technology says.
    reprogram
        Whether the fine-tuning writes the output array alone, or both.
    epochs
        Of the training with the twin in the forward pass; 0: the input array is only written until it is as trained.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    drives: int = 5
    rounds: int = 8
    verify: float | None = None
    reprogram: Reprogram = "both"
    epochs: int = 0

    def __post_init__(self) -> None:
        for name, least in (("drives", 3), ("rounds", 1), ("epochs", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} = {getattr(self, name)}: expected at least {least}")
        if self.epochs and self.reprogram == "output":
            raise InputError(
                f"epochs = {self.epochs} with reprogram = 'output': they train the input weights; expected reprogram "
                "'both', or epochs 0"
            )


def repair(
    bench: Bench,
    steps: Sequence[StepName],
    labelled: Images,
    held_out: Images,
    training: Images | None = None,
    options: Options | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Step]:
    """Trim a chip, retrain its readout, fine-tune what can be written; the first entry is the chip as it was made.

    Parameters
    ----------
    bench
        The chip.
    steps
        Some of `STEPS`, in this order.
    labelled
        Images that are shown to the chip: more of them than there are neurons, and for `readout` of every class.
    held_out
        Images that every step is judged on.
    training
        Images that the fine-tuning trains on with the twin, which never see the chip; None: the labelled ones.
    progress
        Called with the name of each step before it begins.

    Raises
    ------
    InputError
        For unknown steps, too few labelled images, or labels that no readout can be trained on: a class is missing, or
        the network itself tells them no better than chance.
    """
    options = Options() if options is None else options
    training = labelled if training is None else training
    _check(bench, steps, labelled)
    for name, given in (("readout", labelled), ("finetune", training)):
        if name in steps:
            check_labels(bench.design.network, given)
    makers = {
        "trim": lambda: _trim(bench, labelled, options),
        "readout": lambda: _readout(bench, labelled, options),
        "finetune": lambda: _finetune(bench, labelled, training, options),
    }
    done = []
    for name in ("as made", *(step for step in STEPS if step in steps)):
        if progress is not None:
            progress(name)
        before = bench.costs.copy()
        saturated, facts = makers[name]() if name in makers else (0, {})
        done.append(_judged(bench, name, held_out, before, saturated, facts))
    return done


def _check(bench: Bench, steps: Sequence[str], labelled: Images) -> None:
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise InputError(f"step {unknown[0]!r}: expected some of {', '.join(STEPS)}")
    n, different = bench.design.network.layer_sizes[1], labelled.different
    if different <= n:
        copies = "" if different == len(labelled.labels) else f", of which {different} differ"
        raise InputError(
            f"{len(labelled.labels)} labelled images{copies}: expected more than the network's {n} hidden neurons, to "
            "find the output weights from"
        )


def check_labels(network: Network, given: Images, what: str = "") -> None:
    """Refuse labels that no readout can be trained on.

    Parameters
    ----------
    what
        The images, in words; "": how many labelled ones.

    Raises
    ------
    InputError
        If no image is of one of the network's classes, or the network itself tells the images no better than chance.
    """
    n_classes, what = network.layer_sizes[2], what or f"{len(given.labels)} labelled images"
    missing = missing_classes(given.labels, n_classes)
    if missing:
        raise InputError(
            f"{what}: none is of class {', '.join(map(str, missing))}; expected images of each of the network's "
            f"{n_classes} classes, to train the readout on (mix images that are sorted by class, or take more)"
        )
    found = network.forward(given.images).argmax(axis=1)
    if near_chance(found, given.labels, given.different):
        right = float(np.mean(found == given.labels))
        raise InputError(
            f"{what}: the network itself finds the label of {100.0 * right:.1f} % of them, no more than chance may "
            "give; expected the images and the classes that it was trained for"
        )


def _judged(bench: Bench, name: str, held_out: Images, before: Costs, saturated: int, facts: dict[str, float]) -> Step:
    after = bench.costs.copy()
    accuracy = float(np.mean(bench.classify(held_out.images) == held_out.labels))
    bench.costs.runs, bench.costs.readings = after.runs, after.readings
    runs, readings, pulses = after.runs - before.runs, after.readings - before.readings, after.pulses - before.pulses
    return Step(name, accuracy, runs, readings, pulses, chip_seconds(bench.design, runs), saturated, facts)


def _shown(bench: Bench, labelled: Images) -> NDArray[np.floating]:
    """Images that output weights are measured with: the first, or of images sorted by class some of all."""
    number = min(_PER_NEURON * bench.design.network.layer_sizes[1], len(labelled.labels))
    if 2 * len(np.unique(labelled.labels[:number])) < len(np.unique(labelled.labels)):
        return labelled.images[np.linspace(0, len(labelled.labels) - 1, number).round().astype(np.intp)]
    return labelled.images[:number]


def ideal_lines(network: Network) -> Lines:
    """Response of one ideal neuron over its range of drives, simulated, as a line."""
    one = Chip.ideal(network).only(np.zeros(1, dtype=np.intp))
    table = Table(Direct(), MIN_DRIVES).means(one, network.protocol, window=False)
    drives = np.linspace(table.low, table.high, MIN_DRIVES)
    return fit_lines(drives, table.look_up(drives))


def spread_drives(network: Network, n: int) -> FloatArray:
    """Drives at which every neuron is measured, shape (n, n_neurons), spread evenly over 95 % of the range."""
    span = _INWARD * abs(network.fhn.gamma)
    return np.repeat(np.linspace(-span, span, n)[:, None], network.layer_sizes[1], axis=1)


def _trim(bench: Bench, labelled: Images, options: Options) -> tuple[int, dict[str, float]]:
    """Codes from the neurons' responses; then, since tanh pairs and row drivers err too, from what the rows do."""
    network = bench.design.network
    drives, ideal = spread_drives(network, options.drives), ideal_lines(network)
    lines = fit_lines(drives, bench.neurons(drives))
    output = bench.codes.output
    codes = replace(codes_of_responses(lines, ideal, network, bench.hardware), output=output)
    bench.set_codes(codes)
    scale, shift = (values[0] for values in Chip.ideal(network).row_stage.of(network.recentre))
    wanted = scale * float(ideal.slope[0]) * network.fhn.gamma, scale * float(ideal.level[0]) + shift
    for _ in range(_END_ROUNDS):
        ends = measure_ends(bench)
        codes = codes_of_ends(codes, ends.amplitude, ends.centre, wanted, network, bench.hardware, ends.known)
        bench.set_codes(codes)
    bias = network.biases[1]
    beyond = null_outputs(bench, np.zeros(network.layer_sizes[2]) if bias is None else bias, _shown(bench, labelled))
    facts = {
        "gain_spread": float(np.std(lines.slope / ideal.slope)),
        "level_spread": float(np.std(lines.level)),
        "nonlinearity": float(lines.worst.max()),
        "neurons_beyond_codes": float(len(beyond_gain_codes(lines, ideal, bench.hardware))),
        "largest_gain_code": float(np.abs(codes.gain).max()),
        "largest_offset_code": float(np.abs(codes.offset).max()),
    }
    return codes.saturated + beyond, facts


def as_trained(network: Network) -> Readout:
    """The readout that the network was trained with."""
    bias = network.biases[1]
    return Readout(network.weights[1], np.zeros(network.layer_sizes[2]) if bias is None else bias)


def _readout(bench: Bench, labelled: Images, options: Options) -> tuple[int, dict[str, float]]:
    """Train the readout on measured activations, write it."""
    hidden = bench.hidden(labelled.images)

    def written(readout: Readout) -> Readout:
        return as_written(readout, bench.design, bench.targets(1), bench.hardware)

    def fit(limit: float | None) -> Readout:
        start = as_trained(bench.design.network)
        return train_readout(
            hidden, labelled.labels, [start], largest_bias=limit, written=written, originals=labelled.originals
        )  # fmt: skip

    readout = with_bias_that_can_be_made(fit, bench.design, bench.targets(1), bench.hardware)

    def again(reach: tuple[FloatArray, FloatArray], limit: float) -> Readout:
        return fit_readout(
            hidden, labelled.labels, readout, readout.penalty, reach=reach, largest_bias=limit
        )  # fmt: skip

    made = write_readout(bench, readout, _shown(bench, labelled), again, rounds=options.rounds, verify=options.verify)
    facts = {
        "penalty": readout.penalty,
        "validated": readout.validated,
        "validated_before": readout.before,
        "kept": float(readout.kept),
        "scale": made.scale,
    }
    return made.saturated, facts | _written_facts("output", made.written)


def _finetune(bench: Bench, labelled: Images, training: Images, options: Options) -> tuple[int, dict[str, float]]:
    """Find out what the chip is, write the input array, train on the twin, write what came out."""
    network = bench.design.network
    importance, ends = training.importance, measure_ends(bench)
    facts: dict[str, float] = {}
    written = None
    if options.reprogram == "both":
        written = write_inputs(
            bench, ends, network.weights[0], importance, network.biases[0], rounds=options.rounds,
            verify=options.verify,
        )  # fmt: skip
        facts |= _written_facts("input", written)
    rows = np.flatnonzero(importance > 0.0)
    twin = Twin.of(network, measure_inputs(bench, ends, rows), ends)

    def readout_of(twin: Twin, start: Readout) -> Readout:
        return best_on_all(bench, twin.hidden(training.images), training, start)

    readout = readout_of(twin, as_trained(network))
    if written is not None and options.epochs:
        k = bench.targets(0).siemens_per_weight
        low, high = written.devices.reachable(bench.design.technology.array, k)
        reach = low[: written.devices.n_in], high[: written.devices.n_in]
        wanted, readout = tune(twin, readout, reach, training, epochs=options.epochs)
        written = write_inputs(
            bench, ends, wanted, importance, devices=written.devices, rounds=_TUNED_ROUNDS, verify=options.verify
        )  # fmt: skip
        twin = Twin.of(network, measure_inputs(bench, ends, rows), ends)
        readout = readout_of(twin, readout)
    shown = labelled.images[:_CHECKED]
    facts["twin_error"] = float(np.sqrt(np.mean((twin.hidden(shown) - bench.hidden(shown)) ** 2)))

    def again(reach: tuple[FloatArray, FloatArray], limit: float) -> Readout:
        return _on_all(twin.hidden(training.images), training.labels, readout, limit, reach)

    made = write_readout(bench, readout, _shown(bench, labelled), again, rounds=options.rounds, verify=options.verify)
    return made.saturated, facts | {"scale": made.scale} | _written_facts("output", made.written)


def best_on_all(bench: Bench, hidden: FloatArray, training: Images, start: Readout) -> Readout:
    """Readout for the whole training set, of the penalty with the least loss, once written, on images left out."""
    design, target, hardware = bench.design, bench.targets(1), bench.hardware
    fold = folds(training.originals)
    # One fold is enough of many images.
    parts = next(n for n in range(1, FOLDS + 1) if n == FOLDS or np.count_nonzero(fold < n) >= _VALIDATED)

    def made(penalty: float, seen: NDArray[np.bool_]) -> Readout:
        def fit(limit: float | None) -> Readout:
            return _on_all(hidden[seen], training.labels[seen], replace(start, penalty=penalty), limit)

        return with_bias_that_can_be_made(fit, design, target, hardware)

    def loss(penalty: float) -> float:
        total = 0.0
        for part in range(parts):
            left = fold == part
            written = as_written(made(penalty, ~left), design, target, hardware)
            total += written.loss(hidden[left], training.labels[left])
        return total

    # The loss, not the number of right ones, which hardly differs where the network remembers its training images.
    penalty = min(PENALTIES, key=loss)
    return made(penalty, np.ones(len(fold), dtype=bool))


def _on_all(
    hidden: FloatArray,
    labels: NDArray[np.integer],
    start: Readout,
    limit: float | None,
    reach: tuple[FloatArray, FloatArray] | None = None,
) -> Readout:
    """Readout for the whole training set, with the start's penalty."""
    return fit_readout(
        hidden, labels, start, start.penalty, reach=reach, largest_bias=limit, iterations=_TWIN_ITERATIONS
    )  # fmt: skip


def _written_facts(array: str, written: Written | None) -> dict[str, float]:
    if written is None:
        return {}
    stuck = np.count_nonzero(written.devices.stuck_plus) + np.count_nonzero(written.devices.stuck_minus)
    return {
        f"{array}_error_before": written.errors[0],
        f"{array}_error_after": written.errors[-1],
        f"{array}_rounds": float(len(written.errors) - 1),
        f"{array}_stuck": float(stuck),
    }


def chip_seconds(design: Design, runs: int) -> float:
    """Time that runs take on the chip (s)."""
    protocol = design.network.protocol
    return runs * (protocol.settle + protocol.control) * design.scales.time_unit
