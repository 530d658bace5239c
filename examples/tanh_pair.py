"""The bipolar pair as a tanh: how good it is, how it drifts from 273 to 343 K, and what that does to accuracy.

The pair's transistors are swept in ngspice; the accuracy is that of one chip at each temperature, with all its parts at
that temperature, once with shunts that follow the thermal voltage and once with plain ones.

    python examples/tanh_pair.py net.npz --dataset mnist -o out/tanh_pair
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from analog_fhn import Design, Network, Technology, classify, plots
from analog_fhn.cell.base import CircuitCells
from analog_fhn.cell.opamp_fhn.stages import full_scale_current
from analog_fhn.data import load
from analog_fhn.netlist.decks import drive_stage_deck
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.process import SimulatorProcess

TEMPERATURES = (273.0, 300.0, 343.0)


def transfer(cells: CircuitCells, z: FloatArray) -> FloatArray:
    """Output current of the first pair over its full scale, shape of z, by ngspice."""
    cell = cells.cell
    full = full_scale_current(cell.fhn, cell.volts_per_x, cell.technology.neuron.r4)
    currents = []
    with SimulatorProcess() as simulator:
        simulator.load(drive_stage_deck(cells, 0, 0.0))
        for value in z:
            simulator.alter("vz", float(value) * cell.volts_per_z)
            currents.append(simulator.run()["vsum2#branch"][-1] / full)
    return np.array(currents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, help="first images of the test set (default: all)")
    parser.add_argument("--chip", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/tanh_pair"))
    arguments = parser.parse_args()
    network = Network.load(arguments.network)
    test = load(arguments.dataset, "test", arguments.data)
    test = test if arguments.images is None else test.head(arguments.images)
    plain = network.accuracy(test.images, test.labels)
    z = np.linspace(-4.0, 4.0, 65)
    # With gamma < 0 the pair pushes a current for positive z.
    wanted = -np.sign(network.fhn.gamma) * np.tanh(network.fhn.slope * z)

    curves: dict[str, tuple[FloatArray, FloatArray]] = {}
    rows: list[list[object]] = []
    gain = None
    for temperature in (300.0, *(t for t in TEMPERATURES if t != 300.0)):
        for compensated in (True, False) if temperature != 300.0 else (True,):
            parts = Technology.load("discrete").under(temperature=temperature)
            pair = parts.tanh_pair.model_copy(update={"compensated": compensated})
            design = Design(network, parts.model_copy(update={"tanh_pair": pair}))
            current = transfer(design.chip(None).hardware[0].cells, z)
            if gain is None:
                gain = float(current @ wanted / (wanted @ wanted))
            error = current / gain - wanted
            accuracy = classify(design.chip(arguments.chip), test.images).accuracy(test.labels)
            kind = "compensated" if compensated else "plain shunts"
            label = f"{temperature:g} K" if temperature == 300.0 else f"{temperature:g} K, {kind}"
            curves[f"{label}: accuracy {100 * accuracy:.2f} %"] = z, error
            rows.append([temperature, compensated, float(np.abs(error).max()), accuracy])
            print(
                f"{label:22} largest deviation from tanh {100 * np.abs(error).max():.2f} % of full scale, accuracy of "
                f"chip {arguments.chip} {100 * accuracy:.2f} % (plain network {100 * plain:.2f} %)",
                flush=True,
            )
    arguments.output.mkdir(parents=True, exist_ok=True)
    with (arguments.output / "tanh_pair.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["temperature_kelvin", "compensated", "largest_error_of_full_scale", "accuracy"])
        writer.writerows(rows)
    title = f"Tanh pair in ngspice, gain calibrated at 300 K; accuracy of chip {arguments.chip}"
    figure = plots.deviations(curves, "z", "output - tanh(slope z), in % of full scale", title)
    print("written:", arguments.output / "tanh_pair.csv", plots.save(figure, arguments.output / "tanh_pair.png"))


if __name__ == "__main__":
    main()
