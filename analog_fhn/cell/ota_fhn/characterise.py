"""Static curves of transistor cells, measured in ngspice: what their reduced equations are made of.

A neuron's nodes x and y are held by voltage sources, one of which is swept, and the currents that flow into the two
nodes and out of the output are recorded. A drive stage's output is held at the reference while its input is swept.
These are operating points: milliseconds, where a transient of a period takes as long as all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from analog_fhn._support.hashing import sha256
from analog_fhn._support.kept import kept_arrays
from analog_fhn._support.threads import programs_at_once
from analog_fhn.errors import SimulationError
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.batch import program_version, run_tables, table_lines
from analog_fhn.ngspice.text import Instance, instance_lines, number

_CELLS = 25  # of one deck: loading the models takes as long as the sweeps of three
_LIMIT = 600.0  # s, of a deck
_CURRENT = re.compile(r"i\(v_(\w+)_(\d+)\)")
# ngspice's default gmin and abstol are as large as the currents that are measured.
OPTIONS = "reltol=1e-5 abstol=1e-17 vntol=1e-8 gmin=1e-17 chgtol=1e-20"


@dataclass(frozen=True)
class Sweep:
    """Voltages relative to the reference, from `low` to `high` (V) in `points` even steps."""

    low: float
    high: float
    points: int

    @property
    def volts(self) -> FloatArray:
        """The voltages (V), shape (points,)."""
        return np.linspace(self.low, self.high, self.points)

    def command(self, source: str) -> str:
        """ngspice's command; its last point must not be lost to rounding."""
        step = (self.high - self.low) / (self.points - 1)
        return f"dc {source} {number(self.low)} {number(self.high + 1e-3 * step)} {number(step)}"


@dataclass(frozen=True)
class Surroundings:
    """What the cells of a deck have in common.

    Parameters
    ----------
    libraries
        Text of all subcircuits, each after those that it needs.
    lines
        Supplies and bias lines.
    supply, reference
        Nodes of the positive supply and of the reference.
    celsius
        Temperature.
    identity
        Text that tells the models apart, in place of their path.
    """

    libraries: str
    lines: tuple[str, ...]
    supply: str
    reference: str
    celsius: float
    identity: str


@dataclass(frozen=True)
class Held:
    """One circuit as an instance, with the nodes that are held.

    Parameters
    ----------
    instance
        Of the circuit.
    swept
        Nodes that follow a sweep, by the sweep's name.
    held
        Nodes whose currents are recorded, by the names that these get: those that are swept, those that stay at the
        reference, and that of the supply.
    supply
        Node of its supply.
    """

    instance: Instance
    swept: Mapping[str, str]
    held: Mapping[str, str]
    supply: str


Currents = dict[str, dict[str, FloatArray]]


def measured(surroundings: Surroundings, cells: Sequence[Sequence[Held]], sweeps: Mapping[str, Sweep]) -> Currents:
    """Currents (A) out of held nodes into the sources that hold them, one sweep after another.

    While one node is swept the others stay at the reference.

    Parameters
    ----------
    cells
        Circuits of each cell, the same kinds for all.
    sweeps
        By their names.

    Returns
    -------
    dict
        For each sweep and each name in `Held.held`, shape (n_cells, points).

    Raises
    ------
    MissingProgramError
        If ngspice is absent.
    SimulationError
        If a deck fails.
    """
    blocks = [cells[first : first + _CELLS] for first in range(0, len(cells), _CELLS)]
    decks = [_deck(surroundings, block, sweeps) for block in blocks]
    with ThreadPoolExecutor(max_workers=programs_at_once()) as pool:
        tables = list(pool.map(lambda deck: _table(deck, surroundings), decks))
    names = [name for circuit in cells[0] for name in circuit.held]
    result: Currents = {}
    for swept, one in sweeps.items():
        result[swept] = {}
        for name in names:
            rows = [
                table[f"{swept} {name} {k}"]
                for block, table in zip(blocks, tables, strict=True)
                for k in range(len(block))
            ]
            if any(len(row) != one.points for row in rows):
                raise SimulationError(f"ngspice gave {len(rows[0])} points of a sweep; expected {one.points}")
            result[swept][name] = np.array(rows)
    return result


def _deck(surroundings: Surroundings, cells: Sequence[Sequence[Held]], sweeps: Mapping[str, Sweep]) -> str:
    lines = ["Static curves", surroundings.libraries.rstrip("\n"), *surroundings.lines]
    lines += [f"V{name} {name}_swept {surroundings.reference} 0" for name in sweeps]
    saved = []
    for k, circuits in enumerate(cells):
        for one in circuits:
            lines += instance_lines([one.instance])
            at = {node: f"{name}_swept" for name, node in one.swept.items()} | {one.supply: surroundings.supply}
            for name, node in one.held.items():
                lines.append(f"V_{name}_{k} {node} {at.pop(node, surroundings.reference)} 0")
                saved.append((name, k))
            lines += [f"V_{place}_{k} {node} {place} 0" for node, place in at.items()]
    commands = []
    for name, one_sweep in sweeps.items():
        commands += [
            one_sweep.command(f"v{name}"),
            *table_lines(name, *(f"i(v_{held}_{k})" for held, k in saved)),
            "destroy all",
        ]
    return "\n".join(
        [
            *lines,
            f".options {OPTIONS} temp={number(surroundings.celsius)}",
            ".control",
            *commands,
            "quit",
            ".endc",
            ".end\n",
        ]
    )


def _table(deck: str, surroundings: Surroundings) -> Mapping[str, FloatArray]:
    """Currents of a deck, by "sweep name number": from the cache, or by running it."""
    key = sha256(surroundings.identity, program_version(), deck_identity(deck))

    def run() -> dict[str, FloatArray]:
        return {
            f"{swept} {match[1]} {match[2]}": values
            for swept, columns in run_tables(deck, _LIMIT).items()
            for vector, values in columns.items()
            if (match := _CURRENT.fullmatch(vector))
        }

    return kept_arrays("curves", key, "static curves", run)


def deck_identity(deck: str) -> str:
    """The deck without the lines that name the models' file, which `Surroundings.identity` stands for."""
    return "\n".join(line.split('"')[-1] if line.lower().startswith(".lib") else line for line in deck.splitlines())


@dataclass(frozen=True, eq=False)
class NeuronCurves:
    """Currents of neurons with both state nodes held.

    Parameters
    ----------
    x, y
        Voltages of the nodes relative to the reference (V), shapes (n_x,) and (n_y,).
    fast
        Current into the capacitor of x while y is at the reference (A), shape (n, n_x).
    coupling
        What y adds to it while x is at the reference (A), shape (n, n_y).
    slow
        Current into the capacitor of y, without drive (A), shape (n, n_x).
    copy
        Current that leaves the output (A), shape (n, n_x).
    leak
        What y adds to the current into its own capacitor (A), shape (n, n_y).
    supply
        Current from the supply (A), shape (n, n_x).
    """

    x: FloatArray
    y: FloatArray
    fast: FloatArray
    coupling: FloatArray
    slow: FloatArray
    copy: FloatArray
    leak: FloatArray
    supply: FloatArray

    def __getitem__(self, index: slice | NDArray[np.intp]) -> NeuronCurves:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return NeuronCurves(**{k: v if k in "xy" else v[index] for k, v in values.items()})


@dataclass(frozen=True)
class Timing:
    """What transients of the nominal neuron tell.

    Parameters
    ----------
    fast, slow
        Effective capacitances of x and of y (F).
    periods
        That they were fitted to (s), at the drives `analog_fhn.cell.ota_fhn.times.DRIVES`.
    supply_current
        Mean current from the supply over whole periods (A), the mean of both runs.
    eps
        Of the equations; see `analog_fhn.transconductors.TransconductorDynamics`.
    reach
        Lowest and highest voltage of x, relative to the reference, over the last period of both runs (V).
    lag
        Time constant of the mirrors into y and into the output (s); 0: the equations have none.
    """

    fast: float
    slow: float
    periods: tuple[float, float]
    supply_current: float
    eps: float
    reach: tuple[float, float]
    lag: float


def neuron_curves(currents: Currents, sweeps: Mapping[str, Sweep]) -> NeuronCurves:
    """Curves of neurons whose held nodes are named "x", "y", "out" and "supply", and whose sweeps are "x" and "y"."""
    over_x, over_y, x, y = currents["x"], currents["y"], sweeps["x"].volts, sweeps["y"].volts
    fast, slow = (_at_zero(y, over_y[name]) for name in ("x", "y"))
    return NeuronCurves(
        x, y, over_x["x"], over_y["x"] - fast[:, None], over_x["y"], over_x["out"], over_y["y"] - slow[:, None],
        -over_x["supply"],
    )  # fmt: skip


def _at_zero(volts: FloatArray, currents: FloatArray) -> FloatArray:
    """Currents (n, points) at 0 V."""
    return np.array([np.interp(0.0, volts, row) for row in currents])


def supplied(instance: Instance, node: str) -> Instance:
    """The instance with this node in place of the supply's."""
    return replace(instance, nodes=tuple(node if name == "vdd" else name for name in instance.nodes))
