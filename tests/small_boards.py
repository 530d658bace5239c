"""Small networks whose boards have everything: both drive stages, low-passes, rows with and without a shift."""

from __future__ import annotations

from functools import cache

import numpy as np

from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.network import Dense, Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.technology.technology import Technology

KINDS = ("sigmoid", "relu", "tanh raw", "gamma above 0", "two hidden layers")


@cache
def small_chip(kind: str, seed: int | None = 3) -> ManufacturedChip:
    """A chip of one of these kinds; that of two hidden layers has low-passes whose capacitors are small."""
    rng, deep = np.random.default_rng(1), kind == "two hidden layers"
    sizes = (3, 3, 2, 2) if deep else (4, 3, 2)
    units = {"relu": ("relu",), "tanh raw": ("tanh",), "two hidden layers": ("sigmoid", "tanh")}.get(kind, ("sigmoid",))
    layers = [
        Dense(rng.normal(size=(n_in, n_out)), rng.normal(size=n_out), unit, ceiling=3.0 if unit == "relu" else None)
        for n_in, n_out, unit in zip(sizes, sizes[1:], (*units, None), strict=False)
    ]
    fhn = FHN(gamma=0.5 if kind == "gamma above 0" else -1.0)
    network = Network(tuple(layers), fhn, Protocol(settle=2.0, control=4.0), recentre=kind != "tanh raw")
    technology = Technology.load("discrete")
    if deep:
        quick = technology.low_pass.model_copy(update={"time_constant": 0.05})
        technology = technology.model_copy(update={"low_pass": quick})
    return Design(network, technology).chip(seed)
