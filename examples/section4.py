"""How accurate the paper's section 4 becomes, trained with FHN neurons inside, and which digits it loses.

Networks of several seeds, each trained on 10 000 images with equal counts per class and judged on all test images with
the vote, per digit beside the published table 2: with x itself behind the neurons (the paper), recentred, and with the
tanh on the inputs. Writes a table, which it goes on with when it is started again, and a picture.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from analog_fhn import plots
from analog_fhn.data import load
from analog_fhn.inference import classify_all, per_class
from analog_fhn.papers.bogatenko2023 import published_table2
from analog_fhn.training.paper import train_paper

VARIANTS: dict[str, dict[str, object]] = {
    "raw x": {},
    "recentred": {"recentre": True},
    "raw x, tanh on the inputs": {"tanh": "input"},
}


def main(options: argparse.Namespace) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "section4.csv"
    rows: list[dict[str, str]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    full, test = load(options.dataset, "train", options.data), load(options.dataset, "test", options.data)
    n_classes = full.n_classes
    for seed in range(options.seeds):
        for variant in options.variants:
            if any(row["variant"] == variant and row["seed"] == str(seed) for row in rows):
                continue
            training = full.balanced(options.per_class, seed)
            start = time.perf_counter()
            trained = train_paper(training, seed=seed, epochs=options.epochs, **VARIANTS[variant])  # type: ignore[arg-type]
            seconds = (time.perf_counter() - start) / options.epochs
            network = trained.network(training.scale)
            readouts = [("vote", network.recentre), ("mean", network.recentre)]
            vote, mean = classify_all(network, test.images, readouts)  # type: ignore[arg-type]
            digits = per_class(vote.predictions, test.labels, n_classes)
            row = {
                "variant": variant,
                "seed": seed,
                "vote": vote.accuracy(test.labels),
                "mean": mean.accuracy(test.labels),
            }
            row |= {f"digit_{k}": digits[k] for k in range(n_classes)} | {"seconds_per_epoch": round(seconds, 1)}
            rows.append({key: str(value) for key, value in row.items()})
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, row)
                writer.writeheader()
                writer.writerows(rows)
            print(row, flush=True)
    panels = {}
    for variant in options.variants:
        chosen = [row for row in rows if row["variant"] == variant]
        votes, means = (np.array([100 * float(row[key]) for row in chosen]) for key in ("vote", "mean"))
        digits = np.array([[100 * float(row[f"digit_{k}"]) for k in range(n_classes)] for row in chosen]).mean(axis=0)
        print(
            f"{variant}: vote {votes.mean():.2f} (from {votes.min():.2f} to {votes.max():.2f}), "
            f"mean {means.mean():.2f} %"
        )
        print("  per digit:", " ".join(f"{value:.1f}" for value in digits))
        if n_classes == 10:
            panels[f"{variant}\nvote {votes.mean():.1f} %"] = (published_table2()["test_10000"][:10], digits)
    if panels:
        title = f"Trained with FHN inside: {options.seeds} seeds (the paper: 79.9 %)"
        print(f"picture: {plots.save(plots.paired_digits(panels, title), options.output / 'section4.png')}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--per-class", type=int, default=1000, help="training images of each class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/section4"), metavar="DIR")
    main(parser.parse_args())
