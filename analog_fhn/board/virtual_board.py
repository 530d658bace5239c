"""A board in ngspice on a virtual bench: its cells under the steps of the protocol, on an oscilloscope's screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from analog_fhn._support.files import new_table
from analog_fhn.board.bench_recordings import file_name
from analog_fhn.board.bench_steps import BenchProtocol, Shot, Step
from analog_fhn.cell.base import CircuitCells
from analog_fhn.errors import SimulationError
from analog_fhn.netlist.decks import cell_deck, neuron_deck
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.ngspice.process import SimulatorProcess

NODES = {"Vx": "x", "Vy": "y", "-Vx": "nx", "W": "xneuron.cube", "row": "row", "Vz": "z"}
"""Node of a cell's deck behind each test point."""
_MAX_STEP = 0.02  # T
_SAVED = ".save v(x) v(y) "


@dataclass(frozen=True, eq=False)
class VirtualBoard:
    """Cells of one hidden layer that are measured as a board is.

    Parameters
    ----------
    cells
        The cells with their parts.
    protocol
        Steps of their layer.
    times
        Initial state of the neurons.
    noise
        Standard deviation of each sample, as a share of the screen's height.
    recentre
        Whether rows are recentred.
    bits
        Of the oscilloscope's converter; 0: it has none.
    """

    cells: CircuitCells
    protocol: BenchProtocol
    times: Protocol
    noise: float = 0.01
    recentre: bool = True
    bits: int = 8

    def record(
        self,
        folder: Path,
        rng: Generator,
        *,
        layer: int = 0,
        which: Sequence[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Path]:
        """Write the recordings of some cells (None: of all), as an oscilloscope saves them.

        Raises
        ------
        MissingProgramError
            If ngspice or PySpice is absent.
        SimulationError
            If a run fails.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        cells = range(len(self.cells)) if which is None else which
        with SimulatorProcess() as simulator:
            for done, cell in enumerate(cells, start=1):
                for step, waves in self._runs(simulator, cell):
                    for shot in step.shots:
                        path = folder / file_name(layer, cell, shot.name)
                        self._write(path, shot, *self._screen(waves, step, shot), rng)
                        written.append(path)
                if progress is not None:
                    progress(done, len(cells))
        return written

    def _runs(self, simulator: SimulatorProcess, cell: int) -> Iterable[tuple[Step, dict[str, FloatArray]]]:
        """Waveforms of a cell in every step."""
        loaded = None
        for step in self.protocol.steps:
            kind = step.drive is None
            if kind != loaded:
                simulator.load(self._deck(cell, step))
                loaded = kind
            if step.drive is not None:
                simulator.alter("idrive", self.protocol.cell.drive_current(step.drive))
            else:
                simulator.alter("vz", step.volts_z or 0.0)
            yield step, simulator.run()

    def _deck(self, cell: int, step: Step) -> str:
        unit = self.protocol.cell.time_unit
        steps = [one for one in self.protocol.steps if (one.drive is None) == (step.drive is None)]
        long = max(one.settle + max(shot.duration for shot in one.shots) for one in steps) / unit
        times = Protocol(settle=0.0, control=long, interval=long, x0=self.times.x0, y0=self.times.y0)
        if step.drive is not None:
            deck = neuron_deck(self.cells, cell, step.drive, times, max_step=_MAX_STEP)
            return deck.replace(_SAVED, f"{_SAVED}v(nx) v(xneuron.cube) ", 1)
        z = (step.volts_z or 0.0) / self.protocol.cell.volts_per_z
        deck = cell_deck(self.cells, cell, z, times, recentre=self.recentre, max_step=_MAX_STEP)
        return deck.replace(_SAVED, f"{_SAVED}v(z) ", 1)

    def _screen(self, waves: dict[str, FloatArray], step: Step, shot: Shot) -> tuple[FloatArray, FloatArray]:
        """Times (s) from the beginning of the screen, and voltages (n_samples, n_channels)."""
        time, x = waves["time"], waves["x"]
        begin = step.settle
        if shot.trigger is not None:
            up = np.flatnonzero((x[:-1] < shot.trigger) & (x[1:] >= shot.trigger) & (time[1:] > step.settle))
            if not len(up):
                raise SimulationError(f"step {step.name}: Vx does not rise through {shot.trigger:g} V")
            begin = float(time[up[0]]) - 0.5 * shot.duration
        at = np.arange(shot.samples, dtype=np.float64) * (shot.duration / shot.samples)
        voltages = [np.interp(begin + at, time, waves[NODES[channel.point]]) for channel in shot.channels]
        return at, np.stack(voltages, axis=1).astype(np.float64)

    def _write(self, path: Path, shot: Shot, times: FloatArray, voltages: FloatArray, rng: Generator) -> None:
        screens = np.array([channel.screen for channel in shot.channels])
        noisy = voltages + self.noise * screens * rng.standard_normal(voltages.shape)
        shown = np.clip(noisy, -0.5 * screens, 0.5 * screens)
        if self.bits:
            code = screens / 2**self.bits
            shown = np.clip(np.rint(noisy / code) * code, -0.5 * screens, 0.5 * screens - code)
        with new_table(path, lineterminator="\n") as table:
            table.writerow(["TIME (s)", *(f"CH{k} (V)" for k in range(1, len(screens) + 1))])
            table.writerows([[f"{t:.9g}", *(f"{v:.6g}" for v in row)] for t, row in zip(times, shown, strict=True)])
