"""Accuracy of the chip on more and more images, with the interval that their number leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import State
from analog_fhn.bench.work import Watch
from analog_fhn.inference import confusion, judge, per_class
from analog_fhn.montecarlo.statistics import wilson

_FIRST = 100
_STEPS = (1, 2, 5)


def accuracy(bench: Bench, state: State, watch: Watch) -> Iterator[dict[str, Any]]:
    """Accuracies on the first 100, 200, 500, ... images; each is what `af.classify(chip, images[:n], table=...)` gives.

    Images are judged from the first one on each time: what a chip draws anew at each image (noise of its read-out)
    comes in their order.
    """
    chip = bench.chip(state, watch)
    readouts = [(chip.network.readout, chip.network.recentre)]
    n_classes, data = chip.network.layer_sizes[-1], bench.dataset
    engine, most = bench.table(chip, watch), bench.n_images(state)
    for n in sizes(most):
        watch.look()
        images, labels = data.images[:n], data.labels[:n]
        result = judge(chip, images, readouts, engine, window=False, progress=watch.progress("images"))[0]
        right = int(np.count_nonzero(result.predictions == labels))
        low, high = wilson(right, n)
        yield {
            "images": n,
            "of": most,
            "right": right,
            "accuracy": result.accuracy(labels),
            "low": low,
            "high": high,
            "plain": float(np.mean(bench.plain(n) == labels)),
            "per_class": per_class(result.predictions, labels, n_classes),
            "confusion": confusion(result.predictions, labels, n_classes).tolist(),
            "unsettled": result.unsettled,
            "drives": bench.drives(state),
        }


def sizes(n: int) -> list[int]:
    """Numbers of images at which an accuracy is shown: 100, 200, 500, 1000, ... and `n` itself."""
    shown, decade = [], _FIRST
    while decade < n:
        shown += [step * decade for step in _STEPS if step * decade < n]
        decade *= 10
    return [*shown, n]
