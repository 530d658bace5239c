"""A reconstruction: embedding, autoencoder, coordinates and map of one neuron, as one object and as a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analog_fhn._support.files import new_file
from analog_fhn._support.json_text import typed
from analog_fhn._support.npz import read_kind, reading
from analog_fhn.errors import InputError, check_range
from analog_fhn.neuron import FloatArray
from analog_fhn.reconstruct.model.autoencoder import Autoencoder, Layers
from analog_fhn.reconstruct.model.embedding import Embedding
from analog_fhn.reconstruct.model.maps import NeuralMap, PolynomialMap, StateMap, free_run
from analog_fhn.reconstruct.model.states import Coordinates
from analog_fhn.reconstruct.rhythm import Levels

FORMAT = 1
_WHAT = "a reconstruction"
_MAPS: dict[str, tuple[type[NeuralMap] | type[PolynomialMap], tuple[str, ...]]] = {
    "neural": (NeuralMap, ("a", "alpha", "b", "big_b", "c")),
    "polynomial": (PolynomialMap, ("powers", "coefficients")),
}


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """A neuron known from recordings: runs by itself, and has a knob p.

    Parameters
    ----------
    embedding, autoencoder, coordinates
        These lead from a voltage series to states of the map, and back.
    state_map
        Advances a state by one sample.
    step
        Sampling interval of the recordings (s).
    levels
        Voltage levels (V) that tell spikes, of the recordings.
    starts
        Recorded states to start from, shape (k, L).
    control
        p of the recording that each of them is from, shape (k,); of a single recording 1.
    notes
        They say how it came about, in anything that JSON can hold.
    """

    embedding: Embedding
    autoencoder: Autoencoder
    coordinates: Coordinates
    state_map: StateMap
    step: float
    levels: Levels
    starts: FloatArray
    control: FloatArray
    notes: dict[str, Any] = field(default_factory=dict)

    def states(self, vectors: ArrayLike) -> FloatArray:
        """Delay vectors (..., D) -> states (..., L)."""
        return self.coordinates.of(self.autoencoder.encode(vectors))

    def voltage(self, states: ArrayLike) -> FloatArray:
        """States (..., L) -> voltage (...), V."""
        return self.embedding.restore(self.autoencoder.newest(self.coordinates.latents(states)))

    def starts_near(self, p: float) -> FloatArray:
        """Those of `starts` that were recorded at the control nearest to p, shape (j, L)."""
        nearest = self.control[np.argmin(np.abs(self.control - p))]
        return np.asarray(self.starts[self.control == nearest], dtype=np.float64)

    def run(self, duration: float, p: ArrayLike | None = None, start: FloatArray | None = None) -> FloatArray:
        """Voltage of free runs, shape (m, n), V; NaN from where a run diverged.

        Parameters
        ----------
        duration
            s.
        p
            Control, shape () or (m,); default: that of the first recording. Beyond the recorded ones it is a guess.
        start
            States (m, L); default: every one of `starts_near` p, or of several values of p, number k of those near
            the k-th, in turn.

        Raises
        ------
        InputError
            If the duration is negative or not finite.
        """
        if not 0 <= duration < np.inf:
            raise InputError(f"duration = {duration}: expected a number of seconds from 0")
        p = self.control[0] if p is None else p
        if start is None and np.ndim(p) == 0:
            start = self.starts_near(float(np.asarray(p)))
        elif start is None:
            near = map(self.starts_near, np.asarray(p, dtype=np.float64))
            start = np.stack([states[k % len(states)] for k, states in enumerate(near)])
        orbit = free_run(self.state_map, start, round(duration / self.step), p)
        return self.voltage(orbit).T

    def save(self, path: Path | str) -> None:
        """Write a `.npz` file; nothing is pickled."""
        kind = next(name for name, (cls, _) in _MAPS.items() if isinstance(self.state_map, cls))
        arrays: dict[str, Any] = {
            "lags": self.embedding.lags, "widths": self.embedding.widths,
            "means": self.embedding.means, "deviations": self.embedding.deviations,
            "centre": self.coordinates.centre, "transform": self.coordinates.transform,
            "speeds": self.coordinates.speeds, "starts": self.starts, "control": self.control,
            **{f"map_{name}": getattr(self.state_map, name) for name in _MAPS[kind][1]},
        }  # fmt: skip
        for part, layers in (("encoder", self.autoencoder.encoder), ("decoder", self.autoencoder.decoder)):
            for k, (weights, biases) in enumerate(layers):
                arrays |= {f"{part}_{k}_weights": weights, f"{part}_{k}_biases": biases}
        meta = {
            "format": FORMAT, "kind": _WHAT, "map": kind, "step": self.step,
            "levels": [self.levels.floor, self.levels.ceiling],
            "layers": [len(self.autoencoder.encoder), len(self.autoencoder.decoder)], "notes": self.notes,
        }  # fmt: skip
        with new_file(path) as file:
            np.savez_compressed(file, meta=np.array(json.dumps(meta)), **arrays)

    @classmethod
    def load(cls, path: Path | str) -> Reconstruction:
        """Read a file of `save`.

        Raises
        ------
        InputError
            If it is none, is damaged, or has another format.
        """
        path = Path(path)
        arrays, meta = read_kind(path, _WHAT, FORMAT)
        # a value that leaves the range of doubles in one step is no reconstruction
        with reading(path, _WHAT), np.errstate(over="raise", invalid="raise"):
            _check_numbers(arrays)
            kind, names = _MAPS[meta["map"]]
            reconstruction = cls(
                Embedding(*(arrays[name] for name in ("lags", "widths", "means", "deviations"))),
                Autoencoder(*(
                    _layers(arrays, part, n) for part, n in zip(("encoder", "decoder"), meta["layers"], strict=True)
                )),
                Coordinates(arrays["centre"], arrays["transform"], arrays["speeds"]),
                kind(*(arrays[f"map_{name}"] for name in names)),
                _number("step", meta["step"]), Levels(*(_number("levels", level) for level in meta["levels"])),
                arrays["starts"], arrays["control"], typed(meta["notes"], dict, "notes", "names and values"),
            )  # fmt: skip
            _check_consistent(reconstruction)
        return reconstruction


def _check_consistent(reconstruction: Reconstruction) -> None:
    """Raise InputError if the parts do not fit one another; a step from every start shows the rest of it."""
    starts, control = reconstruction.starts, reconstruction.control
    check_range("step", reconstruction.step, 1e-15, 1e6)
    if starts.ndim != 2 or not len(starts):
        raise InputError(f"starts of shape {starts.shape}; expected (k, {len(reconstruction.coordinates.centre)})")
    if control.shape != starts.shape[:1]:
        raise InputError(f"control of shape {control.shape}; expected ({len(starts)},)")
    reconstruction.voltage(reconstruction.state_map.step(starts, 1.0))
    reconstruction.states(np.zeros(reconstruction.embedding.dimension))


def _check_numbers(arrays: dict[str, NDArray[Any]]) -> None:
    for name, values in arrays.items():
        kinds = "iu" if name in ("lags", "widths", "map_powers") else "fiu"
        if values.dtype.kind not in kinds:
            raise InputError(f"{name} has type {values.dtype}; expected {'whole' if kinds == 'iu' else 'real'} numbers")
        if not np.isfinite(values).all():
            raise InputError(f"{name} holds NaN or infinite values; expected finite numbers")


def _number(name: str, value: Any) -> float:
    check_range(name, value, -1e300, 1e300)
    return float(value)


def _layers(arrays: dict[str, Any], part: str, number: int) -> Layers:
    return tuple((arrays[f"{part}_{k}_weights"], arrays[f"{part}_{k}_biases"]) for k in range(number))
