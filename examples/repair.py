"""What training for bad chips, and repairing them one by one, is worth.

Four kinds of bad chips of one technology: programming error, spread of the neurons, stuck devices. Of each, 20 chips
(of networks of several seeds) as they are made; trimmed; with the readout retrained on 1 000 images as well; with both
arrays written again; and the same of networks that were trained for this kind of chip. Writes a table, which it goes on
with when it is started again, and a picture. On all of MNIST it takes an hour: `--seeds 1` gives a first impression.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from analog_fhn import plots
from analog_fhn.data import Dataset, load
from analog_fhn.design import Design
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.training.circuit import Hardware, train_fhn
from analog_fhn.training.plain import train_plain
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.cases import case_technology
from analog_fhn.trim.finetune import LabelledImages
from analog_fhn.trim.repair import STEPS, RepairOptions, repair

# Programming error, spread of the neurons, share of stuck devices; largest weight in training (standard deviations).
CASES = {
    "20 %, 10 %, 0": (0.2, 0.1, 0.0, None),
    "50 %, 10 %, 0": (0.5, 0.1, 0.0, None),
    "20 %, 10 %, 2 %": (0.2, 0.1, 0.02, 1.7),
    "5 %, 5 %, 5 %": (0.05, 0.05, 0.05, 1.7),
}
STAGES = (
    "as made",
    "trimmed",
    "and readout retrained",
    "and arrays rewritten",
    "trained for it",
    "trained for it, all repairs",
)
FIELDS = ("case", "seed", "chip", *STAGES, "runs", "readings", "pulses", "seconds")


def main(options: argparse.Namespace) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "repair.csv"
    rows = read(path)
    training, test = load(options.dataset, "train", options.data), load(options.dataset, "test", options.data)
    test = test.head(min(options.images or len(test.labels), len(test.labels)))
    base = Technology.load(options.technology)
    for seed in range(options.seeds):

        def kept(name: str, make: Callable[[], Network], seed: int = seed) -> Network:
            file = options.output / f"{name}_{seed}.npz"
            if not file.exists():
                start = time.perf_counter()
                make().save(file)
                print(f"trained {file}: {time.perf_counter() - start:.0f} s", flush=True)
            return Network.load(file)

        def plain(seed: int = seed) -> Network:
            return train_plain(training, seed=seed).network(training.scale)

        network = kept("plain", plain)
        for k, (case, (error, spread, stuck, clip)) in enumerate(CASES.items()):
            technology = case_technology(base, error, spread, stuck)

            def aware(
                seed: int = seed, technology: Technology = technology, clip: float | None = clip,
                start: Network = network,
            ) -> Network:  # fmt: skip
                trained = train_fhn(
                    training, hardware=Hardware(technology, clip_sigma=clip, ramp="constant"), start=start,
                    epochs=options.epochs, batch_size=100, learning_rate=options.learning_rate, seed=seed,
                )  # fmt: skip
                return trained.network(training.scale)

            trained = kept(f"aware_{k}", aware)
            for chip in range(seed * options.chips, (seed + 1) * options.chips):
                if not any(row["case"] == case and int(row["chip"]) == chip for row in rows):
                    rows.append(
                        {"case": case, "seed": seed, "chip": chip}
                        | judge(network, trained, technology, chip, training, test, options)
                    )
                    write(path, rows)
                    print(rows[-1], flush=True)
    report(rows, options, test)


def judge(
    network: Network, trained: Network, technology: Technology, chip: int, training: Dataset, test: Dataset,
    options: argparse.Namespace,
) -> dict[str, float | int]:  # fmt: skip
    """Accuracies of one chip, and what all repairs of the plain network cost."""
    start = time.perf_counter()
    labelled = LabelledImages(training.images[: options.labelled], training.labels[: options.labelled])
    judged, every = (LabelledImages(data.images, data.labels) for data in (test, training))
    how = RepairOptions(epochs=options.tune_epochs)
    benches = [SimulatedBench(Design(net, technology), chip) for net in (network, trained)]
    plain, aware = (repair(bench, STEPS, labelled, judged, every, how) for bench in benches)
    found, bench = (*plain, aware[0], aware[-1]), benches[0]
    return {stage: round(step.accuracy, 6) for stage, step in zip(STAGES, found, strict=True)} | {
        "runs": bench.costs.runs, "readings": bench.costs.readings, "pulses": bench.costs.pulses,
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def report(rows: list[dict[str, float | int | str]], options: argparse.Namespace, test: Dataset) -> None:
    """Print medians, and draw every chip."""
    panels = {}
    for case in CASES:
        found = [row for row in rows if row["case"] == case]
        if found:
            panels[case] = {stage: [float(row[stage]) for row in found] for stage in STAGES}
            medians = ", ".join(f"{stage} {100 * np.median(values):.2f}" for stage, values in panels[case].items())
            cost = ", ".join(f"{np.median([float(row[key]) for row in found]):.0f} {key}" for key in ("runs", "pulses"))
            print(f"{case} ({len(found)} chips): {medians} %; {cost}")
    title = f"{len(test.labels)} images of {test.name}: programming error, neuron spread, stuck devices"
    print(f"picture: {plots.save(plots.repairs(panels, title), options.output / 'repair.png')}")


def read(path: Path) -> list[dict[str, float | int | str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [dict(row) for row in csv.DictReader(file)]


def write(path: Path, rows: list[dict[str, float | int | str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--images", type=int, help="test images (default: all)")
    parser.add_argument("--technology", default="discrete")
    parser.add_argument("--seeds", type=int, default=5, help="networks")
    parser.add_argument("--chips", type=int, default=4, help="of each network and case")
    parser.add_argument("--labelled", type=int, default=1000, help="images that are shown to a chip")
    parser.add_argument("--epochs", type=int, default=8, help="of the training with fresh chips")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--tune-epochs", type=int, default=0, help="of the training with a chip's twin")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/repair"), metavar="DIR")
    main(parser.parse_args())
