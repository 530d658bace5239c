"""One chip on all test images at op-amp level: ngspice measures each neuron once, response tables judge the images.

Every neuron's op-amp circuit is simulated at some drives; mean and vote readout of all images follow from these tables.
On a few images the result is compared with ngspice transients of all neurons under exactly these images' drives.

    python examples/characterise.py net.npz --dataset mnist --check 20 -o out/characterise
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from analog_fhn import Design, Network, Technology, plots
from analog_fhn.backends.spice.backend import Spice
from analog_fhn.backends.table.backend import Table
from analog_fhn.data import load
from analog_fhn.inference import classify_all, hidden_response


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--images", type=int, help="first images of the test set (default: all)")
    parser.add_argument("--chip", type=int, default=1)
    parser.add_argument("--table", type=int, default=33, help="drives a neuron")
    parser.add_argument("--check", type=int, default=20, help="images to simulate as transients too")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/characterise"))
    arguments = parser.parse_args()
    network = Network.load(arguments.network)
    test = load(arguments.dataset, "test", arguments.data)
    test = test if arguments.images is None else test.head(arguments.images)
    chip = Design(network, Technology.load("discrete")).chip(arguments.chip)
    arguments.output.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    table = Table(Spice(), arguments.table)
    quality = [table.make(layer.cells, network.protocol).quality for layer in chip.layers][-1]
    seconds_to_measure = time.perf_counter() - start
    n_neurons = sum(len(layer.cells) for layer in chip.layers)
    print(f"{n_neurons} neurons measured in ngspice in {seconds_to_measure:.0f} s", flush=True)
    readouts = {}
    for readout in ("mean", "vote"):
        start = time.perf_counter()
        (result,) = classify_all(chip, test.images, [(readout, network.recentre)], backend=table)
        seconds = time.perf_counter() - start
        readouts[readout] = {"accuracy": result.accuracy(test.labels), "seconds": seconds}
        print(f"{readout}: {100 * result.accuracy(test.labels):.2f} % of {len(test.labels)} images, {seconds:.0f} s")
    print(
        f"interpolation error of mean x: rms {quality.rms:.1e}, largest {quality.largest:.1e}; against a window of "
        f"{network.protocol.control:g} T: rms {quality.window_rms:.1e}, largest {quality.window_largest:.1e}",
        flush=True,
    )

    few = test.images[: arguments.check]
    start = time.perf_counter()
    exact, _ = hidden_response(chip, few, Spice(), samples=True)
    seconds = time.perf_counter() - start
    read, _ = hidden_response(chip, few, table, samples=True)
    difference = read.mean - exact.mean
    same = {}
    weights, shift = chip.scores_of_rows(network.recentre)
    for readout in ("mean", "vote"):
        classes = []
        for response in (read, exact):
            assert response.samples is not None
            if readout == "mean":
                scores = response.mean @ weights + shift
            else:
                leaders = (response.samples @ weights + shift).argmax(axis=2)
                scores = np.stack([np.bincount(column, minlength=len(shift)) for column in leaders.T])
            classes.append(scores.argmax(axis=1))
        same[readout] = int(np.sum(classes[0] == classes[1]))
    print(
        f"{len(few)} images as transients ({len(few) * n_neurons} runs, {seconds:.0f} s): mean x of a neuron differs "
        f"by {np.abs(difference).max():.4f} at most (rms {np.sqrt(np.mean(difference**2)):.4f}); same class on "
        f"{same['mean']} (mean) and {same['vote']} (vote) of {len(few)}"
    )
    summary = {
        "seconds_to_measure": seconds_to_measure,
        "readouts": readouts,
        "largest_difference_of_mean_x": float(np.abs(difference).max()),
        "same_class": same,
        "n_checked": len(few),
    }
    (arguments.output / "characterise.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    title = f"Chip {arguments.chip}: tables of {arguments.table} drives against transients of {len(few)} images"
    figure = plots.scatter_of_differences(exact.mean.ravel(), difference.ravel(), title)
    print("written:", plots.save(figure, arguments.output / "characterise.png"))


if __name__ == "__main__":
    main()
