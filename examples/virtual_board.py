"""The bench protocol from end to end: a chip of a hidden seed, simulated in ngspice, plays the board.

Its neurons are measured as `bench plan` says (20 readings each, on the screen of an oscilloscope with noise and 8
bits), the recordings are read, the coefficients recovered, and the codes of `trim --measurements` set on the chip.

    python examples/virtual_board.py net.npz --seeds 5
    python examples/virtual_board.py net.npz --seeds 5 --tolerance 0.05
    python examples/virtual_board.py net.npz --seeds 5 --by-hand 0.01     # no recordings: each reading is 1 % off
    python examples/virtual_board.py net.npz --faults                     # one fault after another: is it named?
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from analog_fhn.board.bench_model import CellModel, with_part
from analog_fhn.board.bench_plan import read_plan, write_plan
from analog_fhn.board.bench_reading import diagnose, read_recordings
from analog_fhn.board.bench_recordings import FOLDER, step_readings
from analog_fhn.board.bench_steps import NOISE, bench_protocols
from analog_fhn.board.diagnosis import suspects
from analog_fhn.board.measured import write_measurements
from analog_fhn.board.virtual_board import VirtualBoard
from analog_fhn.cell.base import CircuitCells
from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.codes import TrimCodes, TrimHardware
from analog_fhn.trim.measurements import load_measurements
from analog_fhn.trim.recorded import from_measurements
from analog_fhn.trim.repair import repair

# Group of parts (neuron, tanh pair, row driver), part, and its fault: a share of its value, else volts or a share.
FAULTS = (
    *((0, name, 0.05) for name in ("r1", "r2", "r3", "r4", "r5", "ra", "rb")), (0, "cx", 0.2), (0, "cy", 0.2),
    (0, "vos1", 0.03), (0, "vos2", 0.05), (0, "vos3", 0.03), (0, "m1_scale", 0.03), (0, "m2_scale", 0.03),
    (0, "m1_x", 0.1), (0, "m1_z", 0.1), (0, "m2_x", 0.1), (0, "m2_y", 0.1), (0, "m2_z", 0.05),
    (1, "rs1", 0.05), (1, "rp1", 0.05), (1, "rabc", 0.1), (1, "vos", 5e-3), (1, "dvbe_tail", 3e-3),
    (1, "dvbe_source", 2e-3), (1, "dvbe_sink", 2e-3), (2, "rin", 0.05), (2, "rf", 0.05), (2, "rshift", 0.05),
    (2, "vos", 0.03),
)  # fmt: skip


def measure(design: Design, seed: int, folder: Path, noise: float, by_hand: float) -> Path:
    """Measure the chip of a seed through the protocol; returns the table of measurements."""
    write_plan(design, folder)
    plans, table = read_plan(folder), folder / "measurements.csv"
    rng = np.random.default_rng(seed)
    chip = design.chip(seed)
    for layer, (protocol, hardware) in enumerate(zip(bench_protocols(design), chip.hardware, strict=True)):
        screen, bits = (0.0, 0) if by_hand else (noise, 8)
        network = design.network
        board = VirtualBoard(hardware.cells, protocol, network.protocol, screen, network.recentre, bits)
        board.record(folder / FOLDER, rng, layer=layer)
    readings, missing = read_recordings(folder, plans)
    assert not missing, missing
    if by_hand:
        for protocol, values in zip(bench_protocols(design), readings, strict=True):
            scale = np.array([reading.scale for reading in protocol.readings])
            values += by_hand * scale * rng.standard_normal(values.shape)
    write_measurements(table, [plan.steps for plan in plans], readings)
    return table


def coefficient_errors(design: Design, seed: int, table: Path, by_hand: float) -> np.ndarray:
    """Errors of the recovered coefficients, and those of the nominal neuron in their place, (2, n_cells, 9).

    Readings by hand are replaced by those of the estimated parts, as `bench diagnose -o` does.
    """
    layers = diagnose(table, design, by_hand, 0.0) if by_hand else diagnose(table, design)
    found = []
    if by_hand:
        steps = [protocol.steps for protocol in bench_protocols(design)]
        write_measurements(table, steps, [one.estimated for one in layers])
    for layer, (one, hardware) in enumerate(zip(layers, design.chip(seed).hardware, strict=True)):
        true = np.hstack([hardware.cells.dynamics.p, hardware.cells.dynamics.q])
        model = CellModel.of(design, layer, bench_protocols(design)[layer])
        nominal = model.coefficients(np.zeros((1, len(model.errors))))
        recovered = np.hstack([one.coefficients.p, one.coefficients.q])
        found.append(np.stack([recovered - true, np.hstack([nominal.p, nominal.q]) - true]))
    return np.concatenate(found, axis=1)


def repaired(design: Design, seed: int, table: Path, train: Dataset, test: Dataset) -> dict[str, tuple[float, float]]:
    """Accuracy of the hidden chip and rms error of its activations: as made, with the protocol's codes, with the best.

    The best ones are those of `trim`, which reads the chip itself, every row under its largest and smallest input.
    """
    hardware, bench = TrimHardware(), SimulatedBench(design, seed)
    measured = from_measurements(load_measurements(table, design, "volts"), design, hardware).state.codes
    repair(bench, ["trim"], train.head(500), test.head(1))
    best, none = bench.codes, TrimCodes.none(design.network)
    ideal = test.images
    for dense in design.network.hidden_layers:
        ideal = dense.activation(dense.pre_activations(ideal))

    def of(codes: TrimCodes) -> tuple[float, float]:
        bench.set_codes(codes)
        accuracy = float(np.mean(bench.classify(test.images) == test.labels))
        return accuracy, float(np.sqrt(np.mean((bench.hidden(test.images) - ideal) ** 2)))

    return {
        "as made": of(none), "protocol": of(measured), "best": of(TrimCodes(best.rows, none.output)),
        "protocol, outputs nulled": of(TrimCodes(measured.rows, best.output)), "best, outputs nulled": of(best),
    }  # fmt: skip


def plant_faults(design: Design, seed: int) -> None:
    """Plant one fault after another in the first neuron of a chip, and print which parts are named."""
    (protocol,) = bench_protocols(design)[:1]
    model = CellModel.of(design, 0, protocol)
    sound, sigma = design.chip(seed).hardware[0].cells[np.zeros(1, dtype=np.intp)], protocol.sigmas()
    rng = np.random.default_rng(seed)
    without, spread = measured_cell(design, sound, rng), np.sqrt((model.sensitivities**2).sum(axis=1) + sigma**2)
    print("fault | readings that move most (in sigma of the technology) | named | right?")
    for group, name, change in FAULTS:
        nominal = float(getattr(model.nominal[group], name)[0])
        value = nominal * (1.0 + change) if abs(nominal) > 0.0 else change
        readings = measured_cell(design, with_part(sound, group, name, value), rng)
        error = next(one for one in model.errors if (one.group, one.field) == (group, name))
        found = suspects(model, readings, sigma)
        off = (readings - without) / spread
        furthest = [(protocol.readings[k], off[k]) for k in np.argsort(-np.abs(off))[:3]]
        shown = ", ".join(f"{protocol.steps[r.step].name} {r.column} {far:+.1f}" for r, far in furthest)
        named = " or ".join(f"{f.part.words} {f.part.size(f.sigmas)}" for f in found[0].faults)
        right = "right" if any(f.part == error for f in found[0].faults) else "WRONG"
        planted = error.size(change / error.sigma)
        print(f"{error.words} {planted} | {shown} | {named} | {right}", flush=True)


def measured_cell(design: Design, cell: CircuitCells, rng: np.random.Generator) -> np.ndarray:
    """Readings (n_readings,) of one cell, measured as a board of its own."""
    protocol = bench_protocols(design)[0]
    board = VirtualBoard(cell, protocol, design.network.protocol, NOISE, design.network.recentre)
    with tempfile.TemporaryDirectory() as folder:
        board.record(Path(folder), rng)
        found: list[float] = []
        for step in protocol.steps:
            values, _ = step_readings(Path(folder), 0, 0, step, protocol.cell.volts_per_x)
            found += [values.get(column, np.nan) for column in step.readings]
    return np.array(found)


def main() -> None:
    """Measure, recover, repair and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help="network of `analog-fhn train --dataset digits`")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=101, help="first hidden seed")
    parser.add_argument("--noise", type=float, default=0.01, help="of each sample, as a share of the screen's height")
    parser.add_argument("--by-hand", type=float, default=0.0, help="error of each reading instead")
    parser.add_argument("--tolerance", type=float, help="of the resistors, in place of the technology's")
    parser.add_argument("--faults", action="store_true", help="plant faults in the first neuron of the first seed")
    options = parser.parse_args()
    technology = Technology.load("discrete")
    if options.tolerance is not None:
        technology = technology.with_values({"resistor.tolerance": options.tolerance})
    design = Design(Network.load(options.network), technology)
    if options.faults:
        plant_faults(design, options.first)
        return
    train, test = load("digits", "train"), load("digits", "test")
    errors, rows = [], []
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            table = measure(design, seed, Path(folder), options.noise, options.by_hand)
            errors.append(coefficient_errors(design, seed, table, options.by_hand))
            rows.append(repaired(design, seed, table, train, test))
        shown = (f"{name} {100 * accuracy:.2f} % ({error:.4f})" for name, (accuracy, error) in rows[-1].items())
        print(f"seed {seed}: " + ", ".join(shown), flush=True)
    print(f"plain network {100 * design.network.accuracy(test.images, test.labels):.2f} %")
    for name in rows[0]:
        accuracy, error = np.mean([row[name] for row in rows], axis=0)
        print(f"{name}: mean {100 * accuracy:.2f} %, rms error of the activations {error:.4f}")
    recovered, spread = np.sqrt(np.mean(np.concatenate(errors, axis=1) ** 2, axis=1))
    print("coefficient: rms error as recovered, of the nominal neuron")
    for name, one, other in zip(("p0", "p1", "p2", "p3", "p4", "q0", "q1", "q2", "q3"), recovered, spread, strict=True):
        print(f"{name}: {one:.2g}, {other:.2g}")


if __name__ == "__main__":
    main()
