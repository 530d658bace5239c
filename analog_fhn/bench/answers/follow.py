"""One image on its way through the chip: pixels, what each hidden layer hands on, scores."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np

from analog_fhn.bench.answers.plain import numbers
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import State
from analog_fhn.bench.work import PatientDirect, Replay, Watch
from analog_fhn.inference import classify, layer_values
from analog_fhn.network import Network

_MOST = 20_000  # values of one layer that are sent


def follow(bench: Bench, state: State, watch: Watch) -> dict[str, Any]:
    """Pixels, activations layer by layer, scores of the chip and of the plain network; every neuron is integrated."""
    chip = bench.chip(state, watch)
    network, images = chip.network, bench.dataset.images[state.image : state.image + 1]
    engine = Replay(PatientDirect(watch=watch, what="neurons of the image"))
    result = classify(chip, images, backend=engine)
    _, outputs = layer_values(chip, images, engine)
    plain = bench.network.forward(images)[0]
    layers = []
    for number, values in enumerate(outputs):
        front = network.fronts[number]
        down, along = (1, 1) if front.patches is None else front.patches.positions
        unit, ceiling = network.units[number], network.ceilings[number]
        layers.append(
            {
                "unit": unit, "channels": values.shape[1], "lines": down, "places": along,
                "low": -1.0 if unit == "tanh" else 0.0, "high": ceiling,
                "values": numbers(values.T.ravel()[:_MOST]),  # channel by channel
            }
        )  # fmt: skip
    return {
        "label": int(bench.dataset.labels[state.image]),
        "answer": int(result.predictions[0]),
        "plain_answer": int(np.argmax(plain)),
        "readout": result.readout,
        "scores": numbers(result.scores[0]),
        "plain_scores": numbers(plain),
        "pixels": numbers(images[0]),
        "shape": list(shape_of(network)),
        "range": list(network.input_range),
        "layers": layers,
    }


def shape_of(network: Network) -> tuple[int, int, int]:
    """Lines, places and channels of an image; of a network without convolutions a square, or one line."""
    front = network.fronts[0]
    first = front.pools[0] if front.pools else front.patches
    if first is not None:
        return first.shape
    side = isqrt(network.n_inputs)
    return (side, side, 1) if side * side == network.n_inputs else (1, network.n_inputs, 1)
