"""A recorded neuron in the hidden layer: its curve in training, its twin when judged, windows of 0.1 to 10 s.

The plain network's weights are taken as they are, and trained further with the neuron's own curve in the forward pass.
The accuracy is that of the curve itself, then of the twin in windows of several lengths, each from rest, after 0.1 s;
several twins make a population whose members take turns in the hidden layer. The mean voltage, and the vote by the raw
voltage as in the paper, are tried at 1 s. With several twins hidden units are also drawn around each of them, with
shares of the spread of all: with plain weights, with those trained for the recorded neuron, and with those trained for
the drawn units; windows up to 1 s. What is in the CSV file is not computed again.

    python examples/living_neuron.py net.npz one.npz two.npz --windows 0.1,0.3,1,3,10 --spread 0.3,1 -o out/living
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from analog_fhn import Network, classify, plots
from analog_fhn.data import load
from analog_fhn.neuron import Protocol
from analog_fhn.reconstruct.driven.backend import SECONDS_PER_T, LivingNeurons
from analog_fhn.reconstruct.driven.curve import responses
from analog_fhn.reconstruct.driven.twin import DrivenTwin
from analog_fhn.training.circuit import Inside, train_fhn

FIELDS = ("neurons", "weights", "activation", "readout", "window", "images", "accuracy", "seconds")
SETTLE = 0.1  # s
MEASURED = "measured f-I curves"
AROUND, FOR_THE_NEURON = "around ", "trained for the neuron"
LONGEST = 1.0  # s: window of drawn units
VOTED = 1000  # images of the vote, for which every sample of every neuron is kept


def protocol(window: float) -> Protocol:
    """Protocol with a control window of so many seconds."""
    return Protocol(settle=SETTLE / SECONDS_PER_T, control=window / SECONDS_PER_T, interval=0.1)


def train(start: Network, neurons: LivingNeurons, data: Path | None, epochs: int) -> Network:
    """The network, trained further with the measured curves of the neurons in the forward pass."""
    dataset = load("mnist", "train", data)
    each = responses(neurons, start.fhn, protocol(1.0), start.layer_sizes[1])
    trained = train_fhn(
        dataset, inside=Inside(fhn=start.fhn, responses=each), start=start, epochs=epochs, batch_size=100,
        learning_rate=1e-3, seed=0,
    )  # fmt: skip
    return trained.network(dataset.scale)


def populations(paths: list[Path], shares: list[float]) -> dict[str, LivingNeurons]:
    """Each twin by itself, all in turn, and units drawn around each, by their names."""
    twins = {path.stem: DrivenTwin.load(path) for path in paths}
    groups = {name: LivingNeurons((twin,)) for name, twin in twins.items()}
    if len(twins) > 1:
        groups["population"] = LivingNeurons(tuple(twins.values()))
        for name, twin in twins.items():
            others = tuple(other for other in twins.values() if other is not twin)
            for share in shares:
                groups[f"{AROUND}{name}, {share:g}"] = LivingNeurons((twin, *others)).drawn(share)
    return groups


def picture(rows: list[dict[str, str]]) -> Figure:
    """Wrong classes over the window."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    named = sorted({(r["neurons"], r["weights"], r["activation"]) for r in rows if r["readout"] == "mean"})
    for neurons, weights, activation in named:
        if AROUND in neurons or weights == FOR_THE_NEURON:
            continue
        mine = [
            r for r in rows
            if (r["neurons"], r["weights"], r["activation"], r["readout"]) == (neurons, weights, activation, "mean")
        ]  # fmt: skip
        points = sorted((float(r["window"]), 100 * (1 - float(r["accuracy"]))) for r in mine)
        if activation == "curve":
            label = None if axes.lines and any(line.get_label() == MEASURED for line in axes.lines) else MEASURED
            axes.axhline(points[0][1], ls=":", lw=1, color="#5c6b73", label=label)
        elif len(points) > 1:
            colour = plots.COLOURS[sorted({name for name, _, _ in named if AROUND not in name}).index(neurons)]
            style = "o-" if weights == "trained" else "o--"
            axes.plot(*zip(*points, strict=True), style, color=colour, ms=4, lw=1.2, label=f"{neurons}, {weights}")
    axes.set(xscale="log", yscale="log", xlabel="control window (s)", ylabel="wrong (%)", title="MNIST, 784-100-10")
    axes.set_yticks([2, 3, 5, 10, 20, 50], ["2", "3", "5", "10", "20", "50"])
    axes.set_yticks([], minor=True)
    axes.legend(frameon=False, fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("twins", type=Path, nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--windows", default="0.1,0.3,1,3,10", help="s")
    parser.add_argument("--spread", default="0.3,1", help="shares of the twins' own")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/living"))
    arguments = parser.parse_args()
    plain, test = Network.load(arguments.network), load("mnist", "test", arguments.data).head(arguments.images)
    plain = plain.with_options(gamma=-0.9)
    groups = populations(arguments.twins, [float(share) for share in arguments.spread.split(",")])
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / "living.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    done = {tuple(row[name] for name in FIELDS[:6]) for row in rows}
    kept: dict[tuple[str, str], LivingNeurons] = {}  # which keep their runs

    def judge(name: str, weights: str, network: Network, activation: str, readout: str, window: float) -> None:
        shown = test if readout == "mean" else test.head(VOTED)
        key = (name, weights, activation, readout, f"{window:g}", str(len(shown.labels)))
        if key in done:
            return
        start = time.perf_counter()
        if (name, activation) not in kept:
            kept[name, activation] = replace(groups[name], activation=activation)  # type: ignore[arg-type]
        neurons = kept[name, activation]
        asked = replace(network.with_options(readout=readout, recentre=readout == "mean"), protocol=protocol(window))
        accuracy = classify(asked, shown.images, backend=neurons).accuracy(shown.labels)
        row = dict(zip(FIELDS, (*key, f"{accuracy:.4f}", f"{time.perf_counter() - start:.0f}"), strict=True))
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        rows.append(row)
        print(", ".join(f"{k} {v}" for k, v in row.items()), flush=True)

    windows = [float(w) for w in arguments.windows.split(",")]
    for name, group in groups.items():
        file = arguments.output / f"net_{name.replace(' ', '_')}.npz"
        if not file.exists():
            train(plain, replace(group, activation="curve"), arguments.data, arguments.epochs).save(file)
        networks = {"plain weights": plain, "trained": Network.load(file)}
        if AROUND in name:
            recorded = name.removeprefix(AROUND).rpartition(",")[0]
            networks[FOR_THE_NEURON] = Network.load(arguments.output / f"net_{recorded}.npz")
        for weights, network in networks.items():
            judge(name, weights, network, "curve", "mean", 1.0)
            for window in windows:
                if AROUND not in name or window <= LONGEST:
                    judge(name, weights, network, "rate", "mean", window)
            judge(name, weights, network, "voltage", "mean", 1.0)
    for name in groups:  # takes longest
        if AROUND not in name:
            judge(name, "plain weights", plain, "voltage", "vote", 1.0)
    print("written:", path, plots.save(picture(rows), arguments.output / "windows.png"))


if __name__ == "__main__":
    main()
