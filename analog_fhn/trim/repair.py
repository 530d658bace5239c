"""The repair of one chip, step by step: what each step brings on held-out images, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Grid, Rows
from analog_fhn._support.interrupts import keeping, kept
from analog_fhn._support.words import engineering, percent
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.table.backend import MIN_DRIVES, Table
from analog_fhn.chip import Chip
from analog_fhn.data import Dataset
from analog_fhn.data.class_shares import missing_classes
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.network import Network
from analog_fhn.neuron import FloatArray
from analog_fhn.trim.bench import Bench, Costs
from analog_fhn.trim.codes import (
    ResponseLines,
    RowTarget,
    beyond_gain_codes,
    codes_of_ends,
    codes_of_responses,
    fit_lines,
)
from analog_fhn.trim.finetune import (
    HiddenArray,
    LabelledImages,
    as_written,
    null_outputs,
    rms,
    tune,
    with_bias_that_can_be_made,
    write_hidden,
    write_readout,
)
from analog_fhn.trim.identify import ChipTwin, LayerTwin, fit_ends, measure_ends, told_by_single_inputs
from analog_fhn.trim.readout import (
    FOLDS,
    PENALTIES,
    LinearReadout,
    fit_readout,
    folds,
    near_chance,
    train_readout,
)
from analog_fhn.trim.writing import Written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analog_fhn.plots import Canvas

StepName = Literal["trim", "readout", "finetune"]
Reprogram = Literal["output", "both"]

STEPS: tuple[StepName, ...] = get_args(StepName)

_INWARD = 0.95  # of the range of the drive: where the outermost test drives stand
_END_ROUNDS = 2
# Of a row whose neuron's own slope is mended: four standard deviations with parts of 14 %.
_LARGEST_GAIN_ERROR = 0.3
_TWIN_ITERATIONS = 60
_TUNED_ROUNDS = 4
_CHECKED = 200  # images that the twin is compared with the chip on
_PER_NEURON = 3  # images per neuron that output weights are measured with
_PER_ROW = (
    6  # images per row that an array between hidden layers is measured with: not every neuron can be read in each
)
# Runs that the ends of a relu's or a convolution's activations are fitted to, and of a convolution the fewest images.
_FOR_ENDS, _FEWEST_FOR_ENDS = 400, 10
_WEIGHT_NOISE = 0.02  # sigma; what writing until it is right leaves of an error
_VALIDATED = 5000  # images on which a penalty is chosen, where there are as many


@dataclass(frozen=True)
class RepairStep:
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

    @property
    def cost(self) -> str:
        """Cost of the step in words; "": it cost nothing."""
        return f"({self.runs} runs, {self.pulses} pulses)" if self.runs else ""


class Repair(Rows[RepairStep]):
    """The steps of a repair, the chip as made first.

    Attributes
    ----------
    plain
        Accuracy of the plain network on the held-out images.
    """

    plain: float

    def __init__(self, steps: Iterable[RepairStep], plain: float) -> None:
        super().__init__(steps)
        self.plain = plain

    def _card(self) -> Card:
        rows = [
            (one.name, percent(one.accuracy), one.runs, one.readings, one.pulses, engineering(one.seconds, "s"))
            for one in self
        ]
        line = f"{percent(self[0].accuracy)} as made, {percent(self[-1].accuracy)} in the end" if self else ""
        grid = Grid(("step", "accuracy", "runs", "readings", "pulses", "time on the chip"), rows)
        return Card("Repair", line, {"plain network": percent(self.plain)}, (grid,))

    def table(self) -> list[dict[str, Any]]:
        """One row per step: its accuracy and costs; what else a step found is in its `facts`."""
        return [{key: value for key, value in asdict(step).items() if key != "facts"} for step in self]

    def plot(self, ax: Axes | None = None, title: str = "") -> Axes:
        """Accuracy after each step, on these axes or those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        on = plots.canvas(ax)
        return plots.only_axes(self.picture(title, on), on)

    def picture(self, title: str, on: Canvas | None = None) -> Figure:
        """The picture of `plot`; `on` as for `analog_fhn.plots.canvas`."""
        from analog_fhn import plots  # needs an optional package

        names, accuracies = [step.name for step in self], [step.accuracy for step in self]
        return plots.repair(names, accuracies, [step.cost for step in self], self.plain, title, on)


@dataclass(frozen=True)
class RepairOptions:
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
    labelled: Dataset | LabelledImages,
    held_out: Dataset | LabelledImages,
    training: Dataset | LabelledImages | None = None,
    options: RepairOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> Repair:
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
    options
        How the steps are done; None: as usual.
    progress
        Called with the name of each step before it begins.

    Raises
    ------
    InputError
        For unknown steps, too few labelled images, or labels that no readout can be trained on: a class is missing, or
        the network itself tells them no better than chance.
    """
    options = RepairOptions() if options is None else options
    labelled, held_out = LabelledImages.of(labelled), LabelledImages.of(held_out)
    training = labelled if training is None else LabelledImages.of(training)
    _check(bench, steps, labelled)
    for name, images in (("readout", labelled), ("finetune", training)):
        if name in steps:
            check_labels(bench.design.network, images)
    work = {
        "trim": lambda: _trim(bench, labelled, options),
        "readout": lambda: _readout(bench, labelled, options),
        "finetune": lambda: _finetune(bench, labelled, training, options),
    }
    done: list[RepairStep] = []
    with kept(lambda: len(done) > 1):
        for name in ("as made", *(step for step in STEPS if step in steps)):
            if progress is not None:
                progress(name)
            before = bench.costs.copy()
            with keeping(False):
                saturated, facts = work[name]() if name in work else (0, {})
                done.append(_judged(bench, name, held_out, before, saturated, facts))
    return Repair(done, bench.design.network.accuracy(held_out.images, held_out.labels))


def possible_steps(design: Design) -> list[StepName]:
    """Steps that a repair of such a chip may have.

    `trim` needs rows with trim codes, and `finetune` read-outs that tell the weight of a single row from their noise.
    """
    impossible = set() if all(cell.has_trim_codes for cell in design.cells) else {"trim"}
    if weight_noise(design) > _WEIGHT_NOISE:
        impossible.add("finetune")
    return [step for step in STEPS if step not in impossible]


def weight_noise(design: Design) -> float:
    """Sigma of a weight that one reading of a row alone tells, by the noise of the read-outs before hidden layers."""
    technology = design.technology
    return max(array.sense.read_noise(technology) / array.volts[0] for array in design.arrays[:-1])


def _check(bench: Bench, steps: Sequence[str], labelled: LabelledImages) -> None:
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise InputError(f"step {unknown[0]!r}: expected some of {', '.join(STEPS)}")
    possible = possible_steps(bench.design)
    if "trim" in steps and "trim" not in possible:
        raise InputError(
            f"step 'trim': rows of the cell {bench.design.technology.cell!r} have no trim codes; expected some of "
            f"{', '.join(possible)}: writing devices anew and nulling the offsets of the outputs is what trims such a "
            "chip"
        )
    if "finetune" in steps and "finetune" not in possible:
        raise InputError(
            f"step 'finetune' measures every weight by itself, and a read-out of technology "
            f"{bench.design.technology.name!r} has a noise of {weight_noise(bench.design):.2g} in such a weight; "
            f"expected {', '.join(possible)}, or a chip without this noise"
        )
    network, different = bench.design.network, labelled.different
    sizes = network.layer_sizes[1:-1]
    n = max(*sizes, network.output.n_in)
    if "finetune" in steps and not told_by_single_inputs(network, len(sizes) - 1):
        raise InputError(
            "step 'finetune' measures every array through the tanh behind it, with its rows driven one by one: neither "
            "a relu nor a convolution can be measured so; expected some of trim, readout"
        )
    if different <= n:
        copies = "" if different == len(labelled.labels) else f", of which {different} differ"
        neurons = f"the network's {n} hidden neurons" if len(sizes) == 1 else f"the {n} neurons of a hidden layer"
        if network.output.n_in == n != sizes[-1]:
            neurons = f"the {n} rows of the output array"
        raise InputError(
            f"{len(labelled.labels)} labelled images{copies}: expected more than {neurons}, to find the output weights "
            "from"
        )


def check_labels(network: Network, images: LabelledImages, what: str = "") -> None:
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
    n_classes, what = network.output.n_out, what or f"{len(images.labels)} labelled images"
    missing = missing_classes(images.labels, n_classes)
    if missing:
        raise InputError(
            f"{what}: none is of class {', '.join(map(str, missing))}; expected images of each of the network's "
            f"{n_classes} classes, to train the readout on (mix images that are sorted by class, or take more)"
        )
    classes = network.forward(images.images).argmax(axis=1)
    if near_chance(classes, images.labels, images.different):
        right = float(np.mean(classes == images.labels))
        raise InputError(
            f"{what}: the network itself finds the label of {100.0 * right:.1f} % of them, no more than chance may "
            "give; expected the images and the classes that it was trained for"
        )


def _judged(
    bench: Bench, name: str, held_out: LabelledImages, before: Costs, saturated: int, facts: dict[str, float]
) -> RepairStep:
    after = bench.costs.copy()
    accuracy = float(np.mean(bench.classify(held_out.images) == held_out.labels))
    bench.costs.runs, bench.costs.readings = after.runs, after.readings
    runs, readings, pulses = after.runs - before.runs, after.readings - before.readings, after.pulses - before.pulses
    return RepairStep(name, accuracy, runs, readings, pulses, chip_seconds(bench.design, runs), saturated, facts)


def _shown(labelled: LabelledImages, number: int) -> NDArray[np.floating]:
    """Images that an array is measured with: the first, or of images sorted by class some of all."""
    number = min(number, len(labelled.labels))
    if 2 * len(np.unique(labelled.labels[:number])) < len(np.unique(labelled.labels)):
        return labelled.images[np.linspace(0, len(labelled.labels) - 1, number).round().astype(np.intp)]
    return labelled.images[:number]


def _shown_to_output(bench: Bench, labelled: LabelledImages) -> NDArray[np.floating]:
    """Images that the output array is measured with."""
    return _shown(labelled, _PER_NEURON * bench.design.network.output.n_in)


def ideal_lines(network: Network) -> ResponseLines:
    """Response of one ideal neuron over its range of drives, simulated, as a line."""
    one = Chip.ideal(network).layers[0].cells[np.zeros(1, dtype=np.intp)]
    table = Table(Direct(), MIN_DRIVES).means(one, network.protocol, window=False)
    drives = np.linspace(table.low, table.high, MIN_DRIVES)
    return fit_lines(drives, table.look_up(drives))


def spread_drives(network: Network, n: int, layer: int = 0) -> FloatArray:
    """Drives at which the neurons of a hidden layer are measured, (n, n_neurons), spread over 95 % of the range."""
    span = _INWARD * abs(network.fhn.gamma)
    return np.repeat(np.linspace(-span, span, n)[:, None], network.hidden_layers[layer].n_out, axis=1)


def _trim(bench: Bench, labelled: LabelledImages, options: RepairOptions) -> tuple[int, dict[str, float]]:
    """Codes of one layer's rows after the other, each measured through those before; then the output codes."""
    network = bench.design.network
    facts: dict[str, float] = {}
    for layer in range(len(network.hidden_layers)):
        found = _trim_rows(bench, layer, labelled, options)
        facts |= {f"{name}{_numbered(layer)}": value for name, value in found.items()}
    beyond = null_outputs(bench, network.output.shift, _shown_to_output(bench, labelled))
    return bench.codes.saturated_rows + beyond, facts


def _numbered(layer: int) -> str:
    """What ends the names of facts about a hidden layer: nothing for the first one, _2 for the second."""
    return f"_{layer + 1}" if layer else ""


def _trim_rows(
    bench: Bench, layer: int, labelled: LabelledImages, options: RepairOptions
) -> dict[str, float]:  # fmt: skip
    """Codes from the neurons' responses; then, since drive stages and row drivers err too, from what the rows do."""
    network, hardware = bench.design.network, bench.hardware
    rows, ideal = RowTarget.of(network, layer), ideal_lines(network)
    drives = spread_drives(network, options.drives, layer)
    lines = fit_lines(drives, bench.neurons(layer, drives))
    codes = codes_of_responses(lines, ideal, rows, hardware)
    bench.set_codes(bench.codes.with_rows(layer, codes))
    ideal_ends = rows.of_response(float(ideal.level[0]), float(ideal.slope[0]), network.fhn.gamma)
    for _ in range(_END_ROUNDS):
        alone = told_by_single_inputs(network, layer)
        if alone:
            ends = measure_ends(bench, layer)
        else:
            shown = max(_FEWEST_FOR_ENDS, _FOR_ENDS // network.fronts[layer].n_positions)
            ends = fit_ends(bench, layer, _shown(labelled, shown))
        known = ends.known
        if layer or not alone:
            # Few rows drive a neuron behind other ones: a single stuck device may keep it from its end.
            known = known & (np.abs(ends.amplitude / ideal_ends[0] - 1.0) < _LARGEST_GAIN_ERROR)
        codes = codes_of_ends(codes, ends.amplitude, ends.centre, ideal_ends, rows, hardware, known)
        bench.set_codes(bench.codes.with_rows(layer, codes))
    return {
        "gain_spread": float(np.std(lines.slope / ideal.slope)),
        "level_spread": float(np.std(lines.level)),
        "nonlinearity": float(lines.worst.max()),
        "neurons_beyond_codes": float(len(beyond_gain_codes(lines, ideal, hardware))),
        "largest_gain_code": float(np.abs(codes.gain).max()),
        "largest_offset_code": float(np.abs(codes.offset).max()),
    }


def as_trained(network: Network) -> LinearReadout:
    """The readout that the network was trained with."""
    return LinearReadout(network.output.weights, network.output.shift)


def _readout(bench: Bench, labelled: LabelledImages, options: RepairOptions) -> tuple[int, dict[str, float]]:
    """Train the readout on measured activations, write it."""
    design, hardware, hidden = bench.design, bench.hardware, bench.hidden(labelled.images)
    present = bench.targets(design.arrays[-1].number)

    def written(readout: LinearReadout) -> LinearReadout:
        return as_written(readout, design, present, hardware)

    def fit(limit: float | None) -> LinearReadout:
        start = as_trained(design.network)
        return train_readout(
            hidden, labelled.labels, [start], largest_bias=limit, written=written, originals=labelled.originals
        )  # fmt: skip

    readout = with_bias_that_can_be_made(fit, design, present, hardware)

    def again(reach: tuple[FloatArray, FloatArray], limit: float) -> LinearReadout:
        return fit_readout(
            hidden, labelled.labels, readout, readout.penalty, reach=reach, largest_bias=limit
        )  # fmt: skip

    outcome = write_readout(
        bench, readout, _shown_to_output(bench, labelled), again, rounds=options.rounds, verify=options.verify
    )  # fmt: skip
    facts = {
        "penalty": readout.penalty,
        "validated": readout.validated,
        "validated_before": readout.before,
        "kept": float(readout.unchanged),
        "scale": outcome.scale,
    }
    return outcome.saturated, facts | _written_facts("output", outcome.written)


def _finetune(
    bench: Bench, labelled: LabelledImages, training: LabelledImages, options: RepairOptions
) -> tuple[int, dict[str, float]]:  # fmt: skip
    """Write the arrays in front of the hidden layers, train on what they then are, write what came out."""
    network = bench.design.network
    arrays, written, twin = _write_as_trained(bench, labelled, training, options)

    def readout_of(twin: ChipTwin, start: LinearReadout) -> LinearReadout:
        return best_on_all(bench, twin.hidden(training.images), training, start)

    readout = readout_of(twin, as_trained(network))
    if options.epochs:
        reach = [_reach(bench, array, outcome) for array, outcome in zip(arrays, written, strict=True)]
        weights, readout = tune(twin, readout, reach, training, epochs=options.epochs)
        arrays = [replace(array, weights=tuned) for array, tuned in zip(arrays, weights, strict=True)]
        for k, array in enumerate(arrays):
            written[k] = write_hidden(
                bench, array, devices=written[k].devices, rounds=_TUNED_ROUNDS, verify=options.verify
            )  # fmt: skip
        twin = ChipTwin(tuple(_twin_of(bench, array) for array in arrays))
        readout = readout_of(twin, readout)
    checked = labelled.images[:_CHECKED]
    twin_error = float(np.sqrt(np.mean((twin.hidden(checked) - bench.hidden(checked)) ** 2)))

    def again(reach: tuple[FloatArray, FloatArray], limit: float) -> LinearReadout:
        return _on_all(twin.hidden(training.images), training.labels, readout, limit, reach)

    outcome = write_readout(
        bench, readout, _shown_to_output(bench, labelled), again, rounds=options.rounds, verify=options.verify
    )  # fmt: skip
    facts = {"twin_error": twin_error, "scale": outcome.scale} | _written_facts("output", outcome.written)
    for name, one in zip(bench.design.array_names, written, strict=False):
        facts |= _written_facts(name.removesuffix(" array").replace(" ", "_"), one)
    return outcome.saturated, facts


def _write_as_trained(
    bench: Bench, labelled: LabelledImages, training: LabelledImages, options: RepairOptions
) -> tuple[list[HiddenArray], list[Written], ChipTwin]:  # fmt: skip
    """Measure one hidden layer after the other, each through those before; if asked, write its array as trained.

    Returns
    -------
    tuple
        The arrays, what became of them (empty if they were not to be written), and the twin of all layers.
    """
    network = bench.design.network
    arrays: list[HiddenArray] = []
    written: list[Written] = []
    layers: list[LayerTwin] = []
    inputs: NDArray[np.floating] = training.images
    for layer, dense in enumerate(network.hidden_layers):
        shown = _shown(labelled, _PER_ROW * dense.n_in)
        array = HiddenArray(layer, measure_ends(bench, layer), rms(inputs), shown, dense.weights)
        if options.reprogram == "both":
            outcome = write_hidden(
                bench, array, dense.bias, rounds=options.rounds, verify=options.verify
            )  # fmt: skip
            written.append(outcome)
        arrays.append(array)
        layers.append(_twin_of(bench, array))
        inputs = layers[-1].activations(inputs)
    return arrays, written, ChipTwin(tuple(layers))


def _twin_of(bench: Bench, array: HiddenArray) -> LayerTwin:
    return LayerTwin.of(bench.design.network, array.layer, array.measure(bench), array.ends)


def _reach(bench: Bench, array: HiddenArray, written: Written) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest weight (n_in, n_neurons) that each pair of an array can still take."""
    k, n = bench.targets(array.layer).siemens_per_weight, written.devices.n_in
    low, high = written.devices.reachable(bench.design.technology.array, k)
    return low[:n], high[:n]


def best_on_all(bench: Bench, hidden: FloatArray, training: LabelledImages, start: LinearReadout) -> LinearReadout:
    """Readout for the whole training set, of the penalty with the least loss, once written, on images left out."""
    design, hardware = bench.design, bench.hardware
    target = bench.targets(design.arrays[-1].number)
    fold = folds(training.originals)
    # One fold is enough of many images.
    parts = next(n for n in range(1, FOLDS + 1) if n == FOLDS or np.count_nonzero(fold < n) >= _VALIDATED)

    def trained(penalty: float, seen: NDArray[np.bool_]) -> LinearReadout:
        def fit(limit: float | None) -> LinearReadout:
            return _on_all(hidden[seen], training.labels[seen], replace(start, penalty=penalty), limit)

        return with_bias_that_can_be_made(fit, design, target, hardware)

    def loss(penalty: float) -> float:
        total = 0.0
        for part in range(parts):
            left = fold == part
            written = as_written(trained(penalty, ~left), design, target, hardware)
            total += written.loss(hidden[left], training.labels[left])
        return total

    # The loss, not the number of right ones, which hardly differs where the network remembers its training images.
    penalty = min(PENALTIES, key=loss)
    return trained(penalty, np.ones(len(fold), dtype=bool))


def _on_all(
    hidden: FloatArray,
    labels: NDArray[np.integer],
    start: LinearReadout,
    limit: float | None,
    reach: tuple[FloatArray, FloatArray] | None = None,
) -> LinearReadout:
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
    return runs * (protocol.settle + protocol.control) * design.time_unit
