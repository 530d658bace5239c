"""A driven twin: a map, the baselines it was recorded at and what it was judged by, as one object and as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analog_fhn._support.files import new_file
from analog_fhn._support.hashing import labelled, sha256
from analog_fhn._support.json_text import typed
from analog_fhn._support.npz import read_kind, reading
from analog_fhn.errors import InputError, check_range
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.driven.map import DrivenMap
from analog_fhn.reconstruct.driven.noise import white_noise
from analog_fhn.reconstruct.driven.traces import OTHERS, SPIKE_TIMES, VOLTAGE_TIMES, State

KIND = "a driven twin"
FORMAT = 1
_NUMBERS = ("step", "bound", "low", "high", "noise")


@dataclass(frozen=True, eq=False)
class DrivenTwin:
    """A recorded neuron that runs under any injected current within the recorded range.

    Parameters
    ----------
    state_map
        Its map.
    currents
        Recorded currents, shape (k,), A, increasing.
    rates
        Spikes per second recorded in the steps of these currents, shape (k,), 1/s: the measured f-I curve.
    base
        Median voltage before the steps of these currents, shape (k,), V.
    noise
        Standard deviation of what current noise adds to the voltage in one step (V).
    notes
        They say how it came about, in anything that JSON can hold.
    """

    state_map: DrivenMap
    currents: FloatArray
    rates: FloatArray
    base: FloatArray
    noise: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.currents.ndim != 1:
            raise InputError(f"currents of shape {self.currents.shape}: expected two or more numbers, increasing")
        for name in ("currents", "rates", "base"):
            values = getattr(self, name)
            if values.shape != self.currents.shape or values.ndim != 1 or not np.isfinite(values).all():
                raise InputError(f"{name} of shape {values.shape}: expected {len(self.currents)} finite numbers")
        if len(self.currents) < 2 or not (np.diff(self.currents) > 0).all():
            raise InputError("currents: expected two or more, increasing")

    @property
    def step(self) -> float:
        """Step of the map (s)."""
        return self.state_map.step

    @property
    def threshold(self) -> float:
        """Largest recorded current up to which the neuron was silent (A); the smallest one if it never was."""
        spiking = np.flatnonzero(self.rates > 0)
        first = int(spiking[0]) if len(spiking) else len(self.currents) - 1
        return float(self.currents[max(first - 1, 0)])

    @property
    def span(self) -> float:
        """From `threshold` to the largest recorded current (A)."""
        return float(self.currents[-1]) - self.threshold

    def at_rest(self, current: ArrayLike) -> State:
        """State at rest at the baseline that was recorded around a current, shape (m,), A; no spikes before."""
        base = np.interp(np.atleast_1d(current), self.currents, self.base)
        return State(
            base, np.repeat(base[:, None], len(VOLTAGE_TIMES), axis=1), np.zeros((len(base), len(SPIKE_TIMES))), base
        )

    def run(self, duration: float, current: ArrayLike, seed: int | None = None) -> FloatArray:
        """Voltage under constant currents (m,), A, from rest, shape (m, n), V.

        Parameters
        ----------
        duration
            s.
        seed
            Of the current noise; None: no noise.
        """
        if not 0 <= duration < np.inf:
            raise InputError(f"duration = {duration}: expected a number of seconds from 0")
        amps = np.atleast_1d(np.asarray(current, dtype=np.float64))
        n = round(duration / self.step)
        noise = None if seed is None else white_noise(self.noise, (len(amps), n), seed)
        return self.state_map.run(self.at_rest(amps), np.broadcast_to(amps[:, None], (len(amps), n)), noise)

    def digest(self) -> str:
        """SHA-256 of everything that decides its runs and its measured curve."""
        one = self.state_map
        layers = [array for layer in one.layers for array in layer]
        arrays = [one.centre, one.unit, *layers, self.currents, self.rates, self.base]
        settings = f"{one.bound!r}{one.limits!r}{one.step!r}{self.noise!r}"
        return sha256(settings, *(part for array in arrays for part in labelled("", array)))

    def save(self, path: Path | str) -> None:
        """Write a `.npz` file; nothing is pickled."""
        one = self.state_map
        arrays: dict[str, Any] = {
            "centre": one.centre, "unit": one.unit, "currents": self.currents, "rates": self.rates, "base": self.base,
        }  # fmt: skip
        for k, (weights, biases) in enumerate(one.layers):
            arrays |= {f"weights_{k}": weights, f"biases_{k}": biases}
        numbers = (one.step, one.bound, *one.limits, self.noise)
        meta = {"format": FORMAT, "kind": KIND, "layers": len(one.layers), "notes": self.notes}
        meta |= dict(zip(_NUMBERS, map(float, numbers), strict=True))
        with new_file(path) as file:
            np.savez_compressed(file, meta=np.array(json.dumps(meta)), **arrays)

    @classmethod
    def load(cls, path: Path | str) -> DrivenTwin:
        """Read a file of `save`.

        Raises
        ------
        InputError
            If it is none, is damaged, or has another format.
        """
        path = Path(path)
        arrays, meta = read_kind(path, KIND, FORMAT)
        with reading(path, KIND):
            for name, values in arrays.items():
                if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
                    raise InputError(f"{name} holds no finite numbers")
            for name in _NUMBERS:
                check_range(name, meta[name], -1e9, 1e9)
            check_range("step", meta["step"], 1e-7, 1.0)
            check_range("noise", meta["noise"], 0.0, 1e9)
            if arrays["rates"].size and arrays["rates"].min() < 0:
                raise InputError(f"rates: {arrays['rates'].min():g} is below 0; expected spikes a second")
            count = typed(meta["layers"], int, "layers", "a whole number")
            layers = tuple((arrays[f"weights_{k}"], arrays[f"biases_{k}"]) for k in range(count))
            state_map = DrivenMap(
                layers, arrays["centre"], arrays["unit"], float(meta["bound"]),
                (float(meta["low"]), float(meta["high"])), float(meta["step"]),
            )  # fmt: skip
            _check_layers(state_map)
            notes = typed(meta["notes"], dict, "notes", "names and values")
            return cls(state_map, arrays["currents"], arrays["rates"], arrays["base"], float(meta["noise"]), notes)


def _check_layers(state_map: DrivenMap) -> None:
    """Raise InputError if the layers do not fit one another or the inputs."""
    width = state_map.centre.size
    if not OTHERS < width <= OTHERS + len(VOLTAGE_TIMES) or state_map.centre.ndim != 1:
        raise InputError(f"centre of shape {state_map.centre.shape}: expected {OTHERS + len(VOLTAGE_TIMES)} numbers")
    if state_map.unit.shape != (width,) or (state_map.unit <= 0).any():
        raise InputError(f"unit: expected {width} numbers above 0")
    for weights, biases in state_map.layers:
        if weights.ndim != 2 or weights.shape[0] != width or biases.shape != weights.shape[1:]:
            raise InputError(f"a layer has shape {weights.shape}; expected ({width}, n), and n biases")
        width = weights.shape[1]
    if not state_map.layers or width != 1:
        raise InputError("layers: expected one or more, the last of one output")
    if state_map.bound <= 0 or state_map.limits[0] >= state_map.limits[1]:
        raise InputError("bound or limits of the voltage: expected a number above 0, and the lower limit first")
