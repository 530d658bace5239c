"""Thirty manufactured neurons: do they behave in ngspice as their nine coefficients say, and what explains the rest.

Every neuron has parts of its own (1 % R, 5 % C, 3 mV op-amp offsets, multipliers with 1 % scale error and 5 mV
offsets). Its op-amp circuit in ngspice is compared with the exact solution of its own coefficient equations, then again
with U3, the multipliers or all slew rates made a thousand times faster: what vanishes is what the equations leave out.

    python examples/agreement.py -o out/agreement
"""

from __future__ import annotations

import argparse
import csv
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np

from analog_fhn import Design, Network, Protocol, Technology, plots
from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.cell.base import Cells, CircuitCells
from analog_fhn.neuron import Coefficients, Cycle, cycle, cycle_from_samples, waveform_rms

DRIVES = (-1.5, -1.0, -0.5)
PROTOCOL = Protocol(settle=6.0, control=14.0, interval=0.005)
LONG = Protocol(settle=20.0, control=50.0)
FASTER = 1e3
VARIANTS = {
    "as built": (),
    "U3 without lag": (("opamp", "gain_bandwidth"),),
    "multipliers without lag": (("multiplier", "bandwidth"),),
    "no slew limit": (("opamp", "slew_rate"),),
    "all three": (("opamp", "gain_bandwidth"), ("multiplier", "bandwidth"), ("opamp", "slew_rate")),
}


def technology() -> Technology:
    discrete = Technology.load("discrete")
    multiplier = discrete.multiplier.model_copy(update={"scale_sigma": 0.01})
    return discrete.model_copy(update={"multiplier": multiplier})


def faster(parts: Technology, what: tuple[tuple[str, str], ...]) -> Technology:
    for section, name in what:
        changed = getattr(parts, section)
        parts = parts.model_copy(update={section: changed.model_copy(update={name: FASTER * getattr(changed, name)})})
    return parts


def exact(case: tuple[Coefficients, float]) -> Cycle:
    return cycle(*case, settle=5.0)


def compare(
    cells: Cells, drives: tuple[float, ...], pool: ProcessPoolExecutor
) -> list[tuple[int, float, float, float]]:
    """Neuron, drive, relative period error and waveform rms of ngspice against the neurons' equations."""
    cases = list(product(range(len(cells)), drives))
    # A thousand times the bandwidth in U1 and U2 is in the coefficients too: only U3's lag is not.
    truths = pool.map(exact, [(cells.dynamics[k : k + 1], drive) for k, drive in cases], chunksize=4)
    grid = np.array(drives)[:, None] * np.ones(len(cells))
    samples = Spice().respond(cells, grid, PROTOCOL, samples=True).samples
    assert samples is not None
    rows = []
    for (k, drive), truth in zip(cases, truths, strict=True):
        simulated = cycle_from_samples(PROTOCOL.sample_times, samples[:, drives.index(drive), k])
        assert simulated is not None, f"neuron {k} does not spike at drive {drive}"
        rows.append((k, drive, simulated.period / truth.period - 1.0, waveform_rms(simulated, truth)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/agreement"))
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--chip", type=int, default=1)
    arguments = parser.parse_args()
    n = arguments.neurons
    network = Network.of_weights((np.ones((1, n)), np.ones((n, 2))))

    def drawn(parts: Technology) -> CircuitCells:
        return Design(network, parts).chip(arguments.chip).hardware[0].cells

    arguments.output.mkdir(parents=True, exist_ok=True)

    errors: dict[str, list[float]] = {}
    waveforms: dict[str, list[float]] = {}
    with (
        ProcessPoolExecutor(2) as pool,
        (arguments.output / "agreement.csv").open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["variant", "neuron", "drive", "period_error", "waveform_rms"])
        for name, what in VARIANTS.items():
            rows = compare(drawn(faster(technology(), what)), DRIVES if name == "as built" else (-1.0,), pool)
            writer.writerows([name, *row] for row in rows)
            for drive in dict.fromkeys(row[1] for row in rows):
                chosen = [row for row in rows if row[1] == drive]
                label = f"{name}, I = {drive:g}"
                errors[label] = [row[2] for row in chosen]
                waveforms[label] = [row[3] for row in chosen]
                print(
                    f"{label:36} period {100 * np.mean(errors[label]):+.3f} % +- {100 * np.std(errors[label]):.3f} "
                    f"(worst {100 * max(map(abs, errors[label])):.3f}), waveform worst "
                    f"{100 * max(waveforms[label]):.3f} % of peak-to-peak",
                    flush=True,
                )
    drives = np.array([*DRIVES, -0.1, 0.3])[:, None] * np.ones(n)
    cells = drawn(technology())
    mean = Spice().respond(cells, drives, LONG).mean - Direct().respond(cells, drives, LONG).mean
    print(f"mean of x over {LONG.control:g} T: ngspice - equations worst {np.abs(mean).max():.4f}")
    figure = plots.agreement(errors, waveforms, f"{n} neurons in ngspice against their nine coefficients")
    print("written:", arguments.output / "agreement.csv", plots.save(figure, arguments.output / "agreement.png"))


if __name__ == "__main__":
    main()
