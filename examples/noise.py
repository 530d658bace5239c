"""How much noise the answer stands.

White current noise at both summing nodes of every neuron of one chip, from what its own parts make upward until the
accuracy collapses; vote and mean readout of the same runs. Writes one picture and prints the table behind it. The
strongest noise carries x beyond the amplifiers' rails (|x| = 3.4 in technology discrete), which the equations do not
have: there the table tells about equations, not about circuits. Takes a few minutes.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analog_fhn import plots
from analog_fhn.data import load
from analog_fhn.design import Design
from analog_fhn.inference import classify_all
from analog_fhn.network import Network
from analog_fhn.noise import Noise, chip_noise
from analog_fhn.technology.technology import Technology

READOUTS = ("vote", "mean")


def main(options: argparse.Namespace) -> None:
    network = Network.load(options.network).with_options(settle=20.0, control=50.0)
    test = load(options.dataset, "test", options.data)
    test = test.head(min(options.images, len(test.labels)))
    chip = Design(network, Technology.load(options.technology)).chip(options.chip)

    def accuracies(noise: Sequence[Noise] | None) -> list[float]:
        readouts = [(readout, network.recentre) for readout in READOUTS]
        results = classify_all(chip, test.images, readouts, noise=noise)
        return [result.accuracy(test.labels) for result in results]

    def show(label: str, noise: Sequence[Noise] | None, values: list[float]) -> None:
        sigma = (0.0, 0.0) if noise is None else (float(np.median(noise[0].x)), float(np.median(noise[0].y)))
        print(f"{label:>22} {sigma[0]:10.2e} {sigma[1]:10.2e} " + " ".join(f"{100 * v:8.2f} %" for v in values))

    print(f"{'density (A/sqrt(Hz))':>22} {'sigma_x':>10} {'sigma_y':>10}      vote       mean")
    quiet = accuracies(None)
    show("none", None, quiet)
    intrinsic = chip_noise(chip, options.seed)
    show("intrinsic", intrinsic, accuracies(intrinsic))
    first = chip.hardware[0].cells
    at_u1, at_u2 = (float(np.median(density)) for density in first.cell.noise_densities(first))
    lowest = np.floor(np.log10(at_u2))
    densities = 10.0 ** np.concatenate([np.arange(lowest, -6.0), np.arange(-6.0, -4.4, 0.5)])
    rows = []
    for density in densities:
        noise = chip_noise(chip, options.seed, density)
        rows.append(accuracies(noise))
        show(f"{density:.1e}", noise, rows[-1])
    figure = plots.accuracy_against_noise(
        densities,
        dict(zip(READOUTS, np.transpose(rows), strict=True)),
        dict(zip(READOUTS, quiet, strict=True)),
        {"own noise of the parts at U2 (y)": at_u2, "at U1 (x)": at_u1},
        f"Chip {options.chip} of {options.technology}: {len(test.labels)} images of {options.dataset}",
    )
    print(f"picture: {plots.save(figure, options.output)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, metavar="NETWORK.npz")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of the MNIST files")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--technology", default="discrete")
    parser.add_argument("--chip", type=int, default=1, metavar="SEED")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/noise.png"), metavar="PNG")
    main(parser.parse_args())
