"""`analog-fhn frontier`: accuracy against the time and energy of an answer."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from analog_fhn._support.files import new_table
from analog_fhn._support.interrupts import keeping, kept
from analog_fhn.cli import circuits, console, consumption, costs, inputs, option_values, outputs, parameters
from analog_fhn.cli.console import engineering
from analog_fhn.cli.groups import ImageOptions, SeededChipOptions
from analog_fhn.cli.options import takes_option_groups
from analog_fhn.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analog_fhn.chip import ManufacturedChip
    from analog_fhn.data import Dataset
    from analog_fhn.design import Design
    from analog_fhn.network import Network
    from analog_fhn.studies.consumption import Consumption
    from analog_fhn.studies.frontier import FrontierPoint
    from analog_fhn.studies.low_pass import LowPassPoint
    from analog_fhn.technology.technology import Technology

Chips = Mapping[float, "ManufacturedChip"]
Consumptions = Mapping[float, "Consumption"]

_GAMMAS = (-0.25, -0.5, -1.0, -1.9)
_CALCULATED = 200  # images that the consumption is the mean over, where no transients measure it


@dataclass(frozen=True)
class ChoiceOptions:
    """What is chosen from."""

    gammas: Annotated[
        str | None,
        typer.Option(
            "--gammas",
            help="Comma-separated list; the supplies must allow each (default: -0.25,-0.5,-1,-1.9, of a cell that is "
            "built for one alone the network's own).",
        ),
    ] = None
    settle: Annotated[
        float, typer.Option("--settle", min=0, help="Settling time (T) of the picture; the table has others too.")
    ] = 2.0
    loss: Annotated[
        float, typer.Option("--loss", min=0, help="Accuracy that may be lost against the plain network.")
    ] = 0.003
    low_pass: Annotated[
        str | None,
        typer.Option(
            "--low-pass",
            metavar="TAU,...",
            help="Also these time constants (T) of the low-passes between hidden layers: low_pass.csv, low_pass.png.",
        ),
    ] = None

    def check(self) -> None:
        """Refuse values that are none, and a settling time that the samples do not allow."""
        from analog_fhn.studies.frontier import check_times

        if self.gammas is not None:
            option_values.numbers("--gammas", self.gammas)
        check_times([self.settle])
        if not math.isfinite(self.loss):
            raise InputError(f"--loss {self.loss:g}: expected a fraction, 0.003 for instance")

    def each_gamma(self, network: Network, technology: Technology) -> list[float]:
        """Every gamma once."""
        from analog_fhn.cell.base import cell_class

        if self.gammas is not None:
            return list(dict.fromkeys(option_values.numbers("--gammas", self.gammas)))
        return [network.fhn.gamma] if cell_class(technology.cell).GAMMAS else list(_GAMMAS)

    def times(self, technology: Technology) -> tuple[list[float], list[float]]:
        """Settling times and control windows of the table (T)."""
        from analog_fhn.studies.frontier import usual_times

        settle, control = usual_times(technology)
        return sorted({*settle, self.settle}), list(control)

    def time_constants(self, network: Network) -> list[float]:
        """Every time constant once (T); a network that has no low-pass is refused."""
        if self.low_pass is None:
            return []
        if len(network.hidden_layers) == 1 and not network.held[-1]:
            raise InputError(
                f"--low-pass {self.low_pass}: a network with one hidden layer has no low-pass; expected two hidden "
                "layers or more"
            )
        return list(dict.fromkeys(option_values.numbers("--low-pass", self.low_pass)))


@takes_option_groups
def frontier(
    network: parameters.NetworkArgument,
    dataset: parameters.DatasetOption,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="frontier.csv and frontier.png.")],
    *,
    which: ImageOptions,
    circuit: SeededChipOptions,
    choice: ChoiceOptions,
    data: parameters.DataOption = None,
    yes: parameters.YesOption = False,
    json: parameters.JsonOption = None,
) -> None:
    """Compare gammas, readouts, settling times and control windows: accuracy, latency and energy of each choice."""
    from analog_fhn import plots

    start = time.perf_counter()
    choice.check()
    net = inputs.load_network(network)
    time_constants = choice.time_constants(net)
    images = which.load(dataset, net, data)
    technology = circuits.load_technology(circuit.technology)
    gammas, times = choice.each_gamma(net, technology), choice.times(technology)
    settle, control = times
    work = costs.frontier(net, len(images.labels), len(gammas), settle, len(time_constants), control=control)
    costs.check_work(work, yes=yes)
    chips = _chips(net, gammas, circuit)
    some = chips[gammas[0]]
    layout = _design(net, some, time_constants)
    folder = outputs.output_folder(output)
    names = ["frontier.csv", "frontier.png", *(["low_pass.csv", "low_pass.png"] if time_constants else [])]
    files = [outputs.writable(folder / name) for name in names]
    plain = net.accuracy(images.images, images.labels)
    drawn = _consumptions(chips, images)
    points = _points(chips, images, times, drawn, files[0])
    title = f"chip {circuit.chip}, {len(images.labels)} images"
    plots.save(_picture(points, choice.settle, plain, some.time_unit, list(drawn.values()), title), files[1])
    for line in _lines(net, points, drawn, plain, choice.loss, some.time_unit):
        console.say(line, json)
    low_passes = _low_passes(layout, images, time_constants, files[2:]) if time_constants else []
    for low_pass in low_passes:
        console.say(_low_pass_line(low_pass), json)
    outputs.say_written(files, json)
    best = _cheapest(points, plain, choice.loss)
    settings = {"gammas": gammas, "settle": choice.settle, "loss": choice.loss}
    content = {
        "accuracy_plain": plain,
        "n_images": len(images.labels),
        "power_watt": [{"gamma": gamma, "power": _power(one)} for gamma, one in drawn.items()],
        "cheapest": None if best is None else _point(best, drawn[best.gamma], some.time_unit),
        "points": [_point(point, drawn[point.gamma], some.time_unit) for point in points],
        "low_pass": [asdict(point) for point in low_passes],
        "settings": outputs.settings(net, some, errors=circuit.errors) | which.settings(dataset) | settings,
    }
    outputs.write_json(json, "frontier", circuit.chip, start, content)


def _chips(network: Network, gammas: Sequence[float], circuit: SeededChipOptions) -> dict[float, ManufacturedChip]:
    """The chip for each gamma."""
    from analog_fhn.inference import check_converters
    from analog_fhn.studies.frontier import readouts

    chips = {}
    for gamma in gammas:
        chips[gamma] = circuit.build(network.with_options(gamma=gamma))
        check_converters(chips[gamma], readouts(chips[gamma]))
    return chips


def _design(network: Network, chip: ManufacturedChip, time_constants: Sequence[float]) -> Design:
    """Design of the network with its own gamma; time constants that it cannot have are refused."""
    from analog_fhn.design import Design
    from analog_fhn.studies.low_pass import designs

    layout = Design(network, chip.technology)
    if time_constants:
        designs(layout, time_constants)
    return layout


def _consumptions(chips: Chips, images: Dataset) -> dict[float, Consumption]:
    """What an answer takes by gamma, of slow measurements under the first image.

    Measured before the frontiers: minutes, where those can take hours, and an absent ngspice is known at once.
    """
    from analog_fhn.studies.consumption import consumption as measured
    from analog_fhn.studies.consumption import is_slow

    drawn: dict[float, Consumption] = {}
    with console.progress_bar("powers") as bar:
        for gamma, chip in chips.items():
            drawn[gamma] = measured(chip, images.images[: 1 if is_slow(chip.technology) else _CALCULATED])
            bar(len(drawn), len(chips))
    return drawn


def _power(drawn: Consumption) -> float:
    """Power that is drawn as long as an answer takes (W)."""
    return drawn.energy_in(1.0) - drawn.energy_in(0.0)


def _point(point: FrontierPoint, drawn: Consumption, unit: float) -> dict[str, Any]:
    """A choice for JSON; `unit` is T in seconds."""
    seconds = point.latency * unit
    answer = {"latency_seconds": drawn.latency_in(seconds), "energy_per_inference": consumption.energy(drawn, seconds)}
    return asdict(point) | answer


def _points(
    chips: Chips, images: Dataset, times: tuple[Sequence[float], Sequence[float]], drawn: Consumptions, path: Path
) -> list[FrontierPoint]:
    """Every choice, written to the table as soon as all of one gamma are known: the next gamma may take hours."""
    from analog_fhn.studies.frontier import frontier as frontier_of

    points: list[FrontierPoint] = []
    with console.progress_bar("images") as bar, keeping() as work, kept(lambda: points):
        for k, chip in enumerate(chips.values()):

            def advance(done: int, total: int, k: int = k) -> None:
                bar(k * total + done, len(chips) * total)

            settle, control = times
            with keeping(False):
                points += frontier_of(
                    chip, images.images, images.labels, settle=settle, control=control, progress=advance
                )  # fmt: skip
            _write(path, points, chip.time_unit, drawn)
    if work.interrupted:
        console.going_on(f"with the choices of {len({p.gamma for p in points})} of {len(chips)} gammas")
    return points


def _write(path: Path, points: Sequence[FrontierPoint], unit: float, drawn: Consumptions) -> None:
    """Write a row for each choice; `unit` is T in seconds. Where energies are known by parts, each has a column."""
    parts = [name for name in next(iter(drawn.values())).parts if name != "total"]
    names = ["gamma", "readout", "settle", "control", "latency_seconds", "energy_joule", "accuracy"]
    with new_table(path) as table:
        table.writerow([*names, *(f"{name}_joule" for name in parts)])
        for p in points:
            one, seconds = drawn[p.gamma], p.latency * unit
            energies = one.parts_in(seconds)
            table.writerow(
                [p.gamma, p.readout, p.settle, p.control, one.latency_in(seconds), one.energy_in(seconds), p.accuracy,
                 *(energies[name] for name in parts)]
            )  # fmt: skip


def _picture(
    points: Sequence[FrontierPoint], settle: float, plain: float, unit: float, drawn: Sequence[Consumption], title: str
) -> Figure:
    """Accuracy against time, a curve for each gamma and readout, at one settling time."""
    from analog_fhn import plots
    from analog_fhn.studies.frontier import curves

    most = max(drawn, key=_power)
    title = f"Accuracy against time and energy, {settle:g} T of settling, {title}"
    return plots.frontier(curves(points, settle), plain, unit, _power(most), title, most.energy_in(0.0))


def _cheapest(points: Sequence[FrontierPoint], plain: float, loss: float) -> FrontierPoint | None:
    from analog_fhn.studies.frontier import cheapest

    return cheapest(points, plain - loss)


def _lines(
    network: Network, points: Sequence[FrontierPoint], drawn: Consumptions, plain: float, loss: float, unit: float
) -> Iterator[str]:  # fmt: skip
    """What people read of the choices; `unit` is T in seconds."""
    best = _cheapest(points, plain, loss)
    for gamma, one in drawn.items():
        yield f"gamma {gamma:g}: {consumption.power_words(network, one)}"
    if best is None:
        yield f"no choice comes within {100 * loss:g} points of {console.percent(plain)}"
        return
    one, seconds = drawn[best.gamma], best.latency * unit
    yield (
        f"shortest within {100 * loss:g} points of the plain network's {console.percent(plain)}: gamma "
        f"{best.gamma:g}, {best.readout}, settle {best.settle:g} T, control {best.control:g} T"
        f"{f', {best.windows} times' if best.windows > 1 else ''}: "
        f"{console.percent(best.accuracy)}, {one.latency_in(seconds):g} s, {one.energy_in(seconds):.3g} J an answer"
    )


def _low_passes(
    layout: Design, images: Dataset, time_constants: Sequence[float], files: Sequence[Path]
) -> list[LowPassPoint]:
    """Judge the nominal chip with low-passes of each time constant, and write table and picture."""
    from analog_fhn import plots
    from analog_fhn.studies.low_pass import low_pass

    with console.progress_bar("low-passes") as bar, keeping() as work:
        points = low_pass(layout, images.images, images.labels, time_constants, progress=bar)
    if work.interrupted:
        console.going_on(f"with {len(points)} of {len(time_constants)} low-passes")
        time_constants = time_constants[: len(points)]
    table_file, picture_file = files
    with new_table(table_file) as table:
        table.writerow(
            ["time_constant", "resistance_ohm", "capacitance_farad", "settle", "ripple", "accuracy", "latency_seconds",
             "energy_joule"]
        )  # fmt: skip
        for p in points:
            parts = p.time_constant, p.resistance, p.capacitance
            table.writerow([*parts, p.settle, p.ripple, p.accuracy, p.latency, "" if p.energy is None else p.energy])
    figure = points.picture(f"Low-passes between hidden layers, nominal chip, {len(images.labels)} images")
    plots.save(figure, picture_file)
    return points


def _low_pass_line(point: LowPassPoint) -> str:
    """What people read of one time constant."""
    parts = f"{engineering(point.resistance, 'ohm')}, {engineering(point.capacitance, 'F')}"
    energy = "" if point.energy is None else f", {point.energy:.3g} J"
    return (
        f"low-pass of {point.time_constant:g} T ({parts}): {console.percent(point.accuracy)} after settle "
        f"{point.settle:g} T, ripple {point.ripple:.2g} of z, {point.latency:g} s{energy} an answer"
    )
