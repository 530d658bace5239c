"""Draws the picture of the first page: `python docs/first_picture.py net.npz RUN` (784-100-10, MNIST; a minute or two).

Everything in it is computed: the weights of one neuron, its circuit (as docs/draw.py draws it), its voltage on one chip
in ngspice, and the accuracy of 1000 chips, which are kept in the folder RUN.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import draw
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from record import shrink

import analog_fhn as af

IMAGE = 0
DRIVE = -0.5  # of the neurons, the one whose drive under the image is nearest to this is shown
SPECIFICATION = 0.977
INK, ACCENT, RED = "#37474f", "#1565c0", "#c62828"


def main() -> None:
    """Compute, draw, write docs/images/first.png."""
    network, test = af.load_network(sys.argv[1]), af.load_data("mnist", "test")
    design = af.Design(network, "discrete")
    chip = design.chip(1)
    z = test.images[IMAGE] @ chip.layers[0].weights + chip.layers[0].biases
    drives = chip.last.cells.drive_stage.drives(z)
    neuron = int(np.abs(drives - DRIVE).argmin())
    figure, axes = plt.subplots(1, 4, figsize=(11.5, 3.1), width_ratios=[1.0, 2.0, 1.4, 1.4], dpi=150)
    _weights(axes[0], network, neuron)
    _circuit(axes[1])
    _voltage(axes[2], chip, neuron, drives[neuron])
    study = af.sweep(design, test, chips=1000, specification=SPECIFICATION, folder=sys.argv[2])
    _chips(axes[3], study)
    figure.subplots_adjust(left=0.005, right=0.985, top=0.82, bottom=0.17, wspace=0.2)
    for left, right in pairwise(axes):
        start, end = left.get_position().x1, right.get_position().x0
        middle = 0.5 * (start + end)
        ends = (middle - 0.012, 0.91), (middle + 0.012, 0.91)
        figure.add_artist(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=16, color=INK))
    path = Path("first.png")
    figure.savefig(path)
    shrink(path, draw.FOLDER / "first.png", 1500)
    path.unlink()
    print(study.yield_())


def _weights(axis: Axes, network: af.Network, neuron: int) -> None:
    weights = network.weights[0][:, neuron].reshape(28, 28)
    largest = np.abs(weights).max()
    axis.imshow(weights, cmap="RdBu_r", vmin=-largest, vmax=largest)
    axis.set_anchor("N")
    axis.set_title("trained weights\nof one neuron", color=INK, fontsize=10)
    axis.set(xticks=[], yticks=[])


def _circuit(axis: Axes) -> None:
    drawing = draw.neuron(axis)
    drawing.draw(show=False)
    axis.set_title("its circuit: 3 op-amps,\n2 multipliers, 9 parts", color=INK, fontsize=10)
    axis.axis("off")


def _voltage(axis: Axes, chip: af.Chip, neuron: int, drive: float) -> None:
    cells, protocol = chip.last.cells[np.array([neuron])], af.Protocol(settle=2.0, control=8.0, interval=0.01)
    response = af.make_backend("spice").respond(cells, np.array([[drive]]), protocol, samples=True)
    volts = response.samples[:, 0, 0] * chip.hardware[0].cells.cell.volts_per_x
    axis.plot(np.asarray(protocol.sample_times) - 2.0, volts, color=ACCENT, linewidth=1.2)
    axis.set_title("its voltage on chip 1, in ngspice,\nunder one test image", color=INK, fontsize=10)
    axis.set_xlabel("time (ms)", color=INK)
    axis.set_ylabel("V", color=INK, rotation=0, labelpad=8)
    axis.spines[["top", "right"]].set_visible(False)


def _chips(axis: Axes, study: af.Study) -> None:
    accuracy, (passed,) = 100 * study.accuracies(), study.yield_()
    step = 0.02
    bins = np.arange(accuracy.min() - 0.5 * step, accuracy.max() + step, step)
    axis.hist(accuracy, bins, color=ACCENT)
    axis.axvline(100 * SPECIFICATION, color=RED)
    axis.set_xlim(97.53, None)
    top = axis.get_ylim()[1]
    axis.annotate(
        f"specification \n{100 * SPECIFICATION:g} % ", (100 * SPECIFICATION, top), color=RED, va="top", ha="right"
    )
    axis.set_title(f"accuracy of 1000 chips:\n{round(1000 * passed.share)} of them pass", color=INK, fontsize=10)
    axis.set_xlabel("accuracy on 10 000 test images (%)", color=INK)
    axis.set(yticks=[])
    axis.spines[["top", "right", "left"]].set_visible(False)


if __name__ == "__main__":
    main()
