"""The accuracy waterfall: the same images through ever more of the circuit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.cards import Card, Grid, Rows
from analog_fhn._support.interrupts import keeping, kept
from analog_fhn._support.words import percent
from analog_fhn.chip import Chip, ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.inference import check_converters, classify
from analog_fhn.montecarlo.statistics import wilson
from analog_fhn.noise import chip_noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analog_fhn.plots import Canvas

_WITH_NOISE = "same chip with the noise of its parts"


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of the waterfall.

    Parameters
    ----------
    name, backend
        What was added, and what integrated the neurons (None: no neurons).
    predictions
        Shape (n_images,).
    accuracy
        Share of right classes.
    seconds
        Wall time.
    agreement
        For the stages that repeat the same chip with noise or in another simulator: share of images with the class that
        `direct` gives; None for the others.
    """

    name: str
    backend: str | None
    predictions: NDArray[np.intp]
    accuracy: float
    seconds: float
    agreement: float | None = None

    @property
    def n_images(self) -> int:
        """Number of images that were judged."""
        return len(self.predictions)

    @property
    def same(self) -> int:
        """Number of images with the class that `direct` gives."""
        return round((self.agreement or 0.0) * self.n_images)


class Waterfall(Rows[Stage]):
    """The stages of a waterfall, in their order.

    Attributes
    ----------
    left_out
        Stages that were asked for and that such a chip cannot have, by name, with the reason.
    """

    left_out: Mapping[str, str]

    def __init__(self, stages: Iterable[Stage] = (), left_out: Mapping[str, str] | None = None) -> None:
        super().__init__(stages)
        self.left_out = {} if left_out is None else left_out

    def _card(self) -> Card:
        rows = [
            (one.name, one.backend, one.n_images, percent(one.accuracy),
             None if one.agreement is None else f"{one.same} of {one.n_images}")
            for one in self
        ]  # fmt: skip
        grid = Grid(("stage", "backend", "images", "accuracy", "same class as direct"), rows)
        line = f"{percent(self[0].accuracy)} to {percent(self[-1].accuracy)}" if self else ""
        return Card("Waterfall", line, self.left_out, (grid,))

    def table(self) -> list[dict[str, Any]]:
        """One row per stage: its name, backend, number of images, accuracy and agreement."""
        return [
            {"stage": one.name, "backend": one.backend, "n_images": one.n_images, "accuracy": one.accuracy,
             "agreement": one.agreement}
            for one in self
        ]  # fmt: skip

    def plot(self, ax: Axes | None = None, title: str = "") -> Axes:
        """Accuracy stage by stage, on these axes or those of a new figure.

        Raises
        ------
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        on = plots.canvas(ax)
        return plots.only_axes(picture(self, title, on), on)

    def save(self, path: str | Path, title: str) -> Path:
        """Write a picture of the stages that judged all images; its name's ending says the format."""
        from analog_fhn import plots  # needs an optional package

        return plots.save(picture(self, title), Path(path))


def waterfall(
    chip: ManufacturedChip,
    images: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    noise_images: int = 0,
    brian_images: int = 0,
    spice_images: int = 0,
    spice_table: int = 0,
    vacask_images: int = 0,
    tables: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Waterfall:
    """Float -> ideal FHN -> the arrays, part by part -> mismatched; then the same with noise, Brian2, ngspice, VACASK.

    Where activations are held, a stage of its own behind the arrays has what their low-passes and hold stages do.

    Parameters
    ----------
    chip
        Its network's readout and protocol are used.
    images, labels
        Shapes (n_images, n_in) and (n_images,).
    noise_images, brian_images, spice_images, vacask_images
        How many of the first images these slower stages judge; 0 leaves the stage out. The noise is that of the
        chip's own parts, seed 0; where the equations of the cells have none, the stage is in `Waterfall.left_out`.
    spice_table
        Drives per neuron of a response table that ngspice makes, with which all images are judged; 0: none.
    tables
        Where the table is kept; None: not kept.
    progress
        Called with (stages done, stages in all).

    Raises
    ------
    InputError
        If the response table has too few drives, or the chip has converters and the readout is the vote.
    """
    from analog_fhn.backends.table.backend import MIN_DRIVES, default_drives  # compiled code; loaded on demand

    network = chip.network
    if spice_table and spice_table < MIN_DRIVES:
        raise InputError(
            f"ngspice response table of {spice_table} drives: expected at least {MIN_DRIVES}, or 0 for none"
        )
    check_converters(chip, [network.readout])
    n = len(labels)
    # A convolution's neurons are run at every position: tables serve, as they do for any mean readout.
    held, plainly = any(network.held), {}
    if held and network.readout == "mean":
        plainly = {"table": default_drives("direct", "mean")}
    stages_ideal = chip.with_ideal_stages()
    plan: list[tuple[str, Chip, int, dict[str, Any]]] = [
        ("ideal FHN", Chip.ideal(network), n, plainly),
        *((name, sample, n, plainly) for name, sample in _arrays(chip)),
        *([("held activations", _held(chip, chip.with_ideal_cells()), n, plainly)] if held else []),
        ("mismatched neurons", _held(chip, stages_ideal) if held else stages_ideal, n, plainly),
        (f"mismatched {_stage_words(chip)}", chip, n, plainly),
    ]
    of_chip = len(plan)
    left_out = {}
    if noise_images:
        try:
            noise = chip_noise(chip, 0)
        except InputError as error:  # the equations of some cells have none
            left_out[_WITH_NOISE] = str(error)
        else:
            plan.append((_WITH_NOISE, chip, noise_images, {"noise": noise}))
    if brian_images:
        plan.append(("same chip in Brian2", chip, brian_images, {"backend": "brian"}))
    if spice_images:
        plan.append(("same chip in ngspice", chip, spice_images, {"backend": "spice"}))
    if spice_table:
        table = {"backend": "spice", "table": spice_table, "tables": tables}
        plan.append(("same chip, ngspice response table", chip, n, table))
    if vacask_images:
        plan.append(("same chip in VACASK", chip, vacask_images, {"backend": "vacask"}))
    start = time.perf_counter()
    plain = network.forward(images).argmax(axis=1)
    first = Stage("float", None, plain, float(np.mean(plain == labels)), time.perf_counter() - start)
    stages = Waterfall([first], left_out)
    direct = plain
    with kept(lambda: len(stages) > 1):
        for done, (name, sample, number, options) in enumerate(plan, start=1):
            if progress is not None:
                progress(done, len(plan) + 1)
            k = min(number, n)
            with keeping(False):
                result = classify(sample, images[:k], **options)
            repeats = done > of_chip
            agreement = float(np.mean(result.predictions == direct[:k])) if repeats else None
            direct = direct if repeats else result.predictions
            accuracy = result.accuracy(labels[:k])
            stages.append(Stage(name, result.backend, result.predictions, accuracy, result.seconds, agreement))
    left_out.update((name, "interrupted") for name, *_ in plan[len(stages) - 1 :])
    if progress is not None:
        progress(len(plan) + 1, len(plan) + 1)
    return stages


def _stage_words(chip: ManufacturedChip) -> str:
    """The stages before and behind the neurons, as their cells call them: those of all layers before, then behind."""
    groups = (list(one.cells.cell.streams)[1:] for one in chip.hardware)
    *names, last = dict.fromkeys(f"{name}s" for place in zip_longest(*groups) for name in place if name) or ("stages",)
    return f"{', '.join(names)} and {last}" if names else last


def _arrays(chip: ManufacturedChip) -> list[tuple[str, Chip]]:
    """The chip with ideal cells and ever more of what its arrays suffer from; what it does not suffer is left out."""
    technology, network = chip.technology.with_errors(()), chip.network
    # Without levels the mapping still clips the largest weights.
    mapped = "mapped weights" if technology.array.levels is None else "quantised weights"
    stages = [(mapped, Design(network, technology).chip(None).with_ideal_cells())]
    groups: list[str] = []
    for name, added in (
        ("input converters", ("dac",)),
        ("wires", ("wires",)),
        ("devices", ("array",)),
        ("sense amplifiers", ("amplifier",)),
        ("converters", ("adc",)),
    ):
        groups += added
        with_these = chip.technology.with_errors(groups)
        if with_these != technology:
            stages.append((name, Design(network, with_these).chip(chip.seed).with_ideal_cells()))
            technology = with_these
    return stages


def _held(chip: ManufacturedChip, ideal: Chip) -> Chip:
    """A chip with other cells, ideal ones, behind which stand its own low-passes and hold stages."""
    layers = []
    for one, layer, held in zip(ideal.layers, chip.layers, chip.network.held, strict=True):
        cells = one.cells
        if held:
            rows = replace(cells.row_stage, time_constant=layer.cells.row_stage.time_constant)
            cells = replace(cells, row_stage=rows)
        layers.append(replace(layer, cells=cells))
    return replace(chip, layers=tuple(layers))


def picture(stages: Sequence[Stage], title: str, on: Canvas | None = None) -> Figure:
    """Waterfall of the stages that judged all images; the others are remarks on how often they agree."""
    from analog_fhn import plots  # needs an optional package

    full = [stage for stage in stages if stage.agreement is None]
    return plots.waterfall(
        [stage.name for stage in full],
        [stage.accuracy for stage in full],
        [wilson(round(stage.accuracy * stage.n_images), stage.n_images) for stage in full],
        title,
        [f"{s.name}: same class on {s.same} of {s.n_images} images" for s in stages if s.agreement is not None],
        on,
    )
