"""Chips at every combination of temperature, supplies and process corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from analog_fhn._support.cards import Card, Tabular, grid_of
from analog_fhn._support.progress import Progress
from analog_fhn._support.words import counted, percent
from analog_fhn.data import Dataset
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.sweeps import Study, sweep
from analog_fhn.technology.silicon import SiliconTechnology

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analog_fhn.plots import Canvas

TEMPERATURES = (273.15, 300.0, 343.15)  # K
SUPPLIES = (0.95, 1.0, 1.05)


@dataclass(frozen=True)
class CornerYield:
    """Chips under one set of conditions.

    Parameters
    ----------
    point
        Number of the point in the study.
    process
        Corner of the process; None: the parts of a board have none.
    temperature, supply
        In K, and relative to the nominal supplies.
    nominal, median, worst
        Accuracies (fractions) of the chip without spread, of the median chip and of the worst one; None: unknown,
        because no chip could be simulated, or the backend is not `direct`.
    yield_, low, high
        Share of chips that meet the specification, and its 95 % Wilson interval.
    n_chips
        Number of chips.
    """

    point: int
    process: str | None
    temperature: float
    supply: float
    nominal: float | None
    median: float | None
    worst: float | None
    yield_: float
    low: float
    high: float
    n_chips: int


@dataclass(frozen=True, eq=False, repr=False)
class Corners(Tabular):
    """What chips do under every set of conditions; the same chips everywhere.

    Parameters
    ----------
    study
        The sweep, of a point for each set of conditions.
    results
        In the order of the points: process corners, within them temperatures, within them supplies.
    """

    study: Study
    results: tuple[CornerYield, ...]

    def _card(self) -> Card:
        worst = self.worst
        line = (
            f"{len(self.results)} sets of conditions, {counted(worst.n_chips, 'chip')} each; least yield "
            f"{100 * worst.yield_:.1f} % at {worst.temperature:g} K, supply {worst.supply:g}"
            f"{'' if worst.process is None else f', {worst.process}'}"
        )
        form = dict.fromkeys(("nominal", "median", "worst", "yield", "low", "high"), percent)
        rows = [{key: row[key] for key in row if key != "point"} for row in self.table()]
        return Card("Corners", line, {"specification": percent(self.specification)}, (grid_of(rows, form),))

    @property
    def specification(self) -> float:
        """Accuracy that a chip must reach."""
        return self.study.results.specification

    def plot(self, ax: Axes | None = None) -> Axes:
        """Yield and median accuracy over temperature and supplies; of several process corners the first is returned.

        Parameters
        ----------
        ax
            Axes to draw on, where there is one process corner; None: those of a new figure.

        Raises
        ------
        ValueError
            If axes are given and there are several process corners.
        MissingProgramError
            Without matplotlib.
        """
        from analog_fhn import plots  # needs an optional package

        on = plots.canvas(ax)
        return plots.only_axes(self.picture(f"{self.worst.n_chips} chips", on), on)

    def picture(self, title: str, on: Canvas | None = None) -> Figure:
        """The picture of `plot`; `on` as for `analog_fhn.plots.canvas`."""
        from analog_fhn import plots  # needs an optional package

        panels: dict[str, dict[tuple[float, float], tuple[float, float | None]]] = {}
        for one in self.results:
            panels.setdefault(one.process or "", {})[one.temperature, one.supply] = one.yield_, one.median
        return plots.corner_grid(panels, self.specification, title, on)

    @property
    def worst(self) -> CornerYield:
        """Conditions of the least yield, among equals of the least median."""
        return min(self.results, key=lambda one: (one.yield_, one.median or 0.0))

    def table(self) -> list[dict[str, Any]]:
        """A row per set of conditions."""
        return [{key.rstrip("_"): value for key, value in asdict(one).items()} for one in self.results]


def corners(
    design: Design,
    data: Dataset | tuple[ArrayLike, ArrayLike],
    *,
    temperatures: Sequence[float] = TEMPERATURES,
    supplies: Sequence[float] = SUPPLIES,
    processes: Sequence[str] | None = None,
    chips: int = 100,
    seed: int = 0,
    specification: float | None = None,
    backend: str = "direct",
    table: int | None = None,
    workers: int | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Corners:
    """Manufacture chips of a design, and judge the same chips under every combination of conditions.

    Trials run in worker processes: a script that calls this does so below ``if __name__ == "__main__":``.

    Parameters
    ----------
    temperatures, supplies
        In K, and relative to the nominal supplies.
    processes
        Corners of the process, of a technology of transistors; None: that of the technology.
    chips
        Number of chips.
    design, data, seed, specification, backend, table, workers, folder, progress
        As for `analog_fhn.sweeps.sweep`.

    Raises
    ------
    InputError
        Naming what is wrong with an argument or the data, or the conditions under which the design cannot work; if a
        process corner is asked of a board.
    RunError
        If worker processes do not even begin, or a trial cannot be stored.
    """
    silicon = isinstance(design.technology, SiliconTechnology)
    if processes is not None and not silicon:
        raise InputError(
            f"corners: processes = {', '.join(processes)}: technology {design.technology.name!r} is a board, whose "
            "parts have no process corner; expected temperatures and supplies alone"
        )
    grid: dict[str, Sequence[Any]] = {"conditions.temperature": temperatures, "conditions.supply": supplies}
    if silicon:
        grid = {"conditions.corner": processes or [_process(design)], **grid}
    for name, values in (("temperatures", temperatures), ("supplies", supplies), ("processes", processes or ["one"])):
        if len(values) == 0 or len(set(values)) < len(values):
            raise InputError(f"corners: {name} = {list(values)}: expected values that differ, at least one")
    study = sweep(
        design, data, chips=chips, grid=grid, seed=seed, specification=specification, backend=backend, table=table,
        workers=workers, folder=folder, progress=progress,
    )  # fmt: skip
    return Corners(study, tuple(_results(study)))


def _process(design: Design) -> str:
    assert isinstance(design.technology, SiliconTechnology)
    return design.technology.conditions.corner


def _results(study: Study) -> list[CornerYield]:
    found = []
    for one in study.yield_():
        outcome = study.results.outcomes[one.point]
        settings, simulated = outcome.point.settings, len(outcome.values) > 0
        found.append(CornerYield(
            one.point, settings.get("conditions.corner"), settings["conditions.temperature"],
            settings["conditions.supply"], outcome.nominal, outcome.quantiles["q50"] if simulated else None,
            outcome.quantiles["worst"] if simulated else None, one.share, one.low, one.high, one.n_chips,
        ))  # fmt: skip
    return found
