"""What training with the circuit inside adds to a plain network whose neurons are replaced.

A plain network and one with FHN neurons in the forward pass are trained the same way, and judged by `direct` with both
readouts. Then the plain network's neurons are replaced ("recentred only"), and it is trained on with the response that
the neurons really give: over control windows so short that a neuron hardly spikes once, and in white noise that a
window does not average out. Writes a table, which it goes on with when it is started again, and a picture. On all of
MNIST a seed takes about ten minutes.
"""

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analog_fhn import plots
from analog_fhn.cell.base import Cells
from analog_fhn.data import Dataset, load
from analog_fhn.inference import classify_all
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.noise import Noise
from analog_fhn.training.circuit import Inside, train_fhn
from analog_fhn.training.plain import train_plain
from analog_fhn.training.response import Responses

FIELDS = ("seed", "settle", "control", "noise", "trained", "vote", "mean")
Row = dict[str, str | float | int]


def judge(network: Network, images: Dataset, noise: float = 0.0) -> dict[str, float]:
    """Accuracy by `direct` with both readouts; `noise` moves y, per square root of T."""
    n = network.layer_sizes[1]
    white = Noise(np.zeros(n), np.full(n, noise), seed=1) if noise else None
    noises = None if white is None else [white]
    results = classify_all(network, images.images, [("vote", True), ("mean", True)], noise=noises)
    return {result.readout: round(result.accuracy(images.labels), 6) for result in results}


def response(protocol: Protocol, noise: float) -> Responses:
    """Mean response of one ideal neuron over the control window, and its spread in noise."""
    cells = Cells.ideal("sigmoid", FHN(), 1)
    if not noise:
        return Responses.of(cells, protocol, window=True)
    white = Noise(np.zeros(1), np.full(1, noise), seed=2)
    return Responses.of(cells, protocol, window=True, noise=white, drives=65, repeats=256)


def main(options: argparse.Namespace) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "train_inside.csv"
    rows = read(path)
    training, test = load(options.dataset, "train", options.data), load(options.dataset, "test", options.data)
    test = test.head(min(options.images or len(test.labels), len(test.labels)))

    def add(seed: int, protocol: Protocol, noise: float, trained: str, found: Callable[[], dict[str, float]]) -> None:
        key: Row = {
            "seed": seed,
            "settle": protocol.settle,
            "control": protocol.control,
            "noise": noise,
            "trained": trained,
        }
        if not any(all(row[k] == v for k, v in key.items()) for row in rows):
            rows.append(key | found())
            write(path, rows)
            print(rows[-1], flush=True)

    for seed in range(options.seeds):

        def kept(name: str, make: Callable[[], Network], seed: int = seed) -> Network:
            file = options.output / f"{name}_{seed}.npz"
            if not file.exists():
                make().save(file)
            return Network.load(file)

        plain = kept(
            "plain", lambda s=seed: train_plain(training, epochs=options.epochs, seed=s).network(training.scale)
        )  # type: ignore[misc]
        inside = kept("fhn", lambda s=seed: train_fhn(training, epochs=options.epochs, seed=s).network(training.scale))  # type: ignore[misc]
        share = plain.accuracy(test.images, test.labels)
        add(seed, plain.protocol, 0.0, "plain network", lambda a=share: {"vote": a, "mean": a})  # type: ignore[misc]
        if not options.short_only:
            add(seed, inside.protocol, 0.0, "with FHN inside", lambda n=inside: judge(n, test))  # type: ignore[misc]
        cases = [(Protocol(settle=0.0, control=w), 0.0) for w in options.windows]
        cases += [(Protocol(settle=0.0, control=20.0), noise) for noise in options.noises]
        for protocol, noise in cases:
            before = plain.with_options(settle=protocol.settle, control=protocol.control)
            add(seed, protocol, noise, "recentred only", lambda n=before, s=noise: judge(n, test, s))  # type: ignore[misc]

            def trained(
                protocol: Protocol = protocol, noise: float = noise, seed: int = seed, plain: Network = plain
            ) -> dict[str, float]:
                how = Inside(protocol=protocol, responses=response(protocol, noise))
                result = train_fhn(
                    training, inside=how, start=plain, epochs=options.more_epochs, batch_size=100, seed=seed
                )
                return judge(result.network(training.scale), test, noise)

            add(seed, protocol, noise, "trained for it", trained)
    report(rows, options, test)


def report(rows: list[Row], options: argparse.Namespace, test: Dataset) -> None:
    """Print means over the seeds, and draw them."""
    groups: dict[tuple[float, float, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((float(row["control"]), float(row["noise"]), str(row["trained"])), []).append(row)
    for key, found in sorted(groups.items()):
        values = np.array([[float(row["vote"]), float(row["mean"])] for row in found])
        spread = values.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(2)
        print(
            f"{key}: vote {values[:, 0].mean():.4f} +- {spread[0]:.4f}, "
            f"mean {values[:, 1].mean():.4f} +- {spread[1]:.4f}"
        )
    panels = {}
    for axis, keys in (
        ("control window (T), no settling", [(w, 0.0, w) for w in options.windows]),
        ("noise on y (per square root of T), window 20 T", [(20.0, s, s) for s in options.noises]),
    ):
        panels[axis] = {
            f"{trained}, {readout}": (
                [x for *_, x in keys],
                [[float(row[readout]) for row in groups.get((w, s, trained), [])] for w, s, _ in keys],
            )
            for trained in ("recentred only", "trained for it")
            for readout in ("vote", "mean")
        }
    level = float(np.mean([float(row["mean"]) for row in rows if row["trained"] == "plain network"]))
    figure = plots.trained_for(panels, level, f"{len(test.labels)} images of {test.name}, {options.seeds} seeds")
    print(f"picture: {plots.save(figure, options.output / 'train_inside.png')}")


def read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {k: v if k == "trained" else int(v) if k == "seed" else float(v) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    parser.add_argument("--seeds", type=int, default=5, help="networks")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--more-epochs", type=int, default=8, help="of training on for windows and noise")
    parser.add_argument("--windows", type=float, nargs="*", default=[1.0, 2.0, 5.0, 10.0, 20.0], metavar="T")
    parser.add_argument("--noises", type=float, nargs="*", default=[1.0, 2.0, 3.0], metavar="SIGMA")
    parser.add_argument("--short-only", action="store_true", help="leave out the long runs of the settled network")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/train_inside"), metavar="DIR")
    main(parser.parse_args())
