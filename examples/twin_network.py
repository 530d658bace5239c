"""Accuracy of a network whose neurons are known only from recordings, over the number of recordings.

One neuron of the nominal circuit is recorded in ngspice at some drives, spread over the range of drives that the
network gives it. White noise is added, with 1 % of the standard deviation of the spiking voltage, the same in every
recording. A twin is rebuilt from these recordings and takes the place of all hidden neurons; accuracy and mean response
are compared with those of the circuit's own response table. What is in the CSV file is not computed again.

    python examples/twin_network.py net.npz --images 1000 --recordings 3,5,7,9,17 --seeds 3 -o out/twin_network
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter

from analog_fhn import Design, Network, Technology, plots
from analog_fhn.backends.base import Response, refuse_noise
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.backends.table.backend import Table
from analog_fhn.backends.table.waveforms import ResponseTable
from analog_fhn.cell.base import Cells
from analog_fhn.chip import ManufacturedChip
from analog_fhn.data import load
from analog_fhn.errors import SimulationError
from analog_fhn.inference import Result, classify
from analog_fhn.neuron import FloatArray, Protocol
from analog_fhn.noise import Noise
from analog_fhn.reconstruct.model.autoencoder import AutoencoderOptions
from analog_fhn.reconstruct.model.maps import MapOptions
from analog_fhn.reconstruct.model.reconstruction import Reconstruction
from analog_fhn.reconstruct.pipeline import FitOptions, reconstruct_neuron
from analog_fhn.reconstruct.recordings.recording import Recording
from analog_fhn.reconstruct.sources.record import record_circuit
from analog_fhn.reconstruct.twin import TABLE, Twins, as_neuron

FIELDS = (
    "recordings", "seed", "images", "accuracy", "accuracy_circuit", "same_class", "rms_mean", "largest_mean",
    "seconds_recorded", "seconds_to_fit", "seconds_to_classify", "note",
)  # fmt: skip
NOISE = 0.01
OWN = 0  # recordings that the circuit's own curve needs
STEP, DURATION = 0.014, 30.0  # T


@dataclass(frozen=True)
class OfOne:
    """A backend in which every neuron responds by the table of one: the neurons of a nominal chip are all alike."""

    table: ResponseTable
    name: str = "spice table of one neuron"

    def respond(
        self,
        cells: Cells,
        drives: FloatArray,
        protocol: Protocol,
        *,
        samples: bool = False,
        noise: Noise | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Response:
        """Interpolate; see `Backend.respond`."""
        refuse_noise(self.name, noise)
        names = ("drives", "counts", "regime", "mean", "period", "rise", "duty", "wave")
        everyone = {name: np.repeat(getattr(self.table, name), len(cells), axis=0) for name in names}
        return replace(self.table, **everyone, power=None).respond(drives, protocol, samples)


def record(chip: ManufacturedChip, number: int, seed: int) -> tuple[list[Recording], list[float]]:
    """Noisy recordings at `number` drives, the one nearest to the middle of the spiking drives first."""
    cells = chip.hardware[0].cells
    low, high = (float(edge[0]) for edge in cells.drive_stage.range())
    drives = np.linspace(low, high, number)
    middle = -cells.dynamics.q[0, 0]
    order = np.argsort(np.abs(drives - (middle + 0.5)), kind="stable")
    drives = drives[order]
    recordings = record_circuit(chip, drives, DURATION * chip.time_unit, STEP * chip.time_unit)
    rng = np.random.default_rng(seed)
    sigma = NOISE * max(float(recording.voltage.std()) for recording in recordings)
    return [r.with_noise(sigma / float(r.voltage.std()), rng) for r in recordings], drives.tolist()


def rebuild(chip: ManufacturedChip, number: int, seed: int) -> Reconstruction:
    """Twin of the chip's first neuron from `number` recordings."""
    recordings, drives = record(chip, number, seed)
    options = FitOptions(
        dimension=16, latent=2, seed=seed,
        autoencoder=AutoencoderOptions(steps=4000, batch_size=128), map=MapOptions(samples=6000, iterations=40),
    )  # fmt: skip
    fitted = reconstruct_neuron(recordings, options, drives)
    return as_neuron(fitted.reconstruction, chip.hardware[0].cells.cell.volts_per_x, chip.time_unit)


def picture(rows: list[dict[str, str]], curves: dict[int, tuple[FloatArray, FloatArray]]) -> Figure:
    """Mean response of circuit and twins over the drive; share of wrong classes over the number of recordings."""
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    upper, lower = figure.subplots(2)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    for k, (number, (drives, means)) in enumerate(sorted(curves.items())):
        colour, width = ("#222222", 2.4) if number == OWN else (f"C{k - 1}", 1.3)
        label = "circuit" if number == OWN else f"{number} recordings"
        upper.plot(drives, means, lw=width, color=colour, label=label)
    upper.set(xlabel="drive I", ylabel="mean of x", title="Mean response of a circuit's neuron and of its twins")
    upper.legend(frameon=False, fontsize=8)
    good = [row for row in rows if row["accuracy"]]
    numbers = [int(row["recordings"]) for row in good]
    own = 100 * (1 - float(rows[0]["accuracy_circuit"]))
    lower.axhspan(max(own - 1, 0.1), own + 1, lw=0, color="#dddddd", label="within 1 point of the circuit")
    lower.axhline(own, color="#222222", lw=1.2, label=f"circuit: {own:.1f} % wrong")
    wrong = [100 * (1 - float(row["accuracy"])) for row in good]
    lower.plot(numbers, wrong, "o", color="#0b6e99", alpha=0.7, label="twin, a seed each")
    lower.set(
        xlabel="recordings, at as many drives", ylabel="wrong (%)", yscale="log", ylim=(1, max(10, 1.5 * max(wrong)))
    )
    lower.set_yticks([y for y in (1, 2, 5, 10, 20, 50, 100) if y <= lower.get_ylim()[1]])
    lower.minorticks_off()
    lower.set_xticks(sorted(set(numbers)))
    lower.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    lower.set_title(f"{rows[0]['images']} images, neurons known only from recordings with 1 % noise")
    lower.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--recordings", default="3,5,7,9,17", help="numbers of drives")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/twin_network"))
    arguments = parser.parse_args()
    network = Network.load(arguments.network)
    test = load(arguments.dataset, "test", arguments.data).head(arguments.images)
    chip = Design(network, Technology.load("discrete")).chip(None)
    one = chip.hardware[0].cells[:1]
    arguments.output.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    own_table = Table(Spice(), TABLE, arguments.output).make(one, network.protocol)
    own = classify(chip, test.images, backend=OfOne(own_table))
    accuracy = own.accuracy(test.labels)
    print(f"circuit (ngspice): {100 * accuracy:.1f} %, {time.perf_counter() - start:.0f} s", flush=True)

    low, high = (float(edge[0]) for edge in one.drive_stage.range())
    drives = np.linspace(low, high, 101)
    truth = own_table.respond(drives[:, None], network.protocol).mean[:, 0]
    curves = {OWN: (drives, truth)}
    path = arguments.output / "twin_network.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    done = {(row["recordings"], row["seed"], row["images"]) for row in rows}
    for number in map(int, arguments.recordings.split(",")):
        for seed in range(arguments.seeds):
            file = arguments.output / f"twin_{number}_{seed}.npz"
            if (str(number), str(seed), str(arguments.images)) not in done:
                row = judge(number, seed, file, chip, test.images, test.labels, own, (drives, truth))
                rows.append(row)
                fresh = not path.exists()
                with path.open("a", newline="", encoding="utf-8") as stream:
                    writer = csv.DictWriter(stream, FIELDS)
                    if fresh:
                        writer.writeheader()
                    writer.writerow(row)
                print(", ".join(f"{name} {value}" for name, value in row.items() if value), flush=True)
            if seed == 0 and file.exists():
                try:
                    table = Table(Twins.load([file]), TABLE).make(one, network.protocol)
                except SimulationError:
                    continue
                curves[number] = drives, table.respond(drives[:, None], network.protocol).mean[:, 0]
    print("written:", path, plots.save(picture(rows, curves), arguments.output / "twin_network.png"))


def judge(
    number: int,
    seed: int,
    file: Path,
    chip: ManufacturedChip,
    images: FloatArray,
    labels: np.ndarray,
    own: Result,
    means: tuple[FloatArray, FloatArray],
) -> dict[str, str]:
    """One line of the CSV file; a twin that fails says how."""
    row = dict.fromkeys(FIELDS, "") | {
        "recordings": str(number), "seed": str(seed), "images": str(len(labels)),
        "accuracy_circuit": f"{own.accuracy(labels):.4f}", "seconds_recorded": f"{number * DURATION * 1e-3:g}",
    }  # fmt: skip
    start = time.perf_counter()
    twin = rebuild(chip, number, seed)
    twin.save(file)
    row["seconds_to_fit"] = f"{time.perf_counter() - start:.0f}"
    start = time.perf_counter()
    backend = Table(Twins((twin,)), TABLE)
    try:
        result = classify(chip, images, backend=backend)
    except SimulationError as error:
        return row | {"note": str(error)}
    drives, truth = means
    cells, protocol = chip.hardware[0].cells, chip.network.protocol
    table = backend.make(cells, protocol)
    response = table.respond(np.repeat(drives[:, None], len(cells), axis=1), protocol).mean
    error = response - truth[:, None]
    return row | {
        "accuracy": f"{result.accuracy(labels):.4f}",
        "same_class": f"{np.mean(result.predictions == own.predictions):.4f}",
        "rms_mean": f"{np.sqrt(np.mean(error**2)):.4f}",
        "largest_mean": f"{np.abs(error).max():.4f}",
        "seconds_to_classify": f"{time.perf_counter() - start:.0f}",
    }


if __name__ == "__main__":
    main()
