"""Files of shifts: which normal numbers of a chip are moved, and how far."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analog_fhn._support.files import new_file
from analog_fhn._support.npz import check_format, read_npz, reading, take_meta
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.draws import sobol_normal
from analog_fhn.errors import InputError, shown
from analog_fhn.montecarlo.directions import Along, Directions
from analog_fhn.montecarlo.trial import at_sobol, chip_seed
from analog_fhn.network import Network

_FORMAT = 1
_WHAT = "a shift of `analog-fhn rare`, or of a sweep with Sobol's points"
_MOST_CHIPS = 1 << 20  # among which the number of a chip's seed is looked for


@dataclass(frozen=True, eq=False)
class ShiftFile:
    """Shift of the chips of one network.

    Parameters
    ----------
    directions
        Along which chips are shifted.
    amounts
        How far along each, in sigmas; None: each chip of a sweep to its own point of a Sobol sequence.
    root
        Root seed of that sweep; None: there are amounts.
    """

    directions: Directions
    amounts: tuple[float, ...] | None
    root: int | None = None

    def save(self, path: Path, network: Network) -> None:
        """Write a `.npz` file; nothing is pickled."""
        keys = list(self.directions.parts)
        meta = {
            "format": _FORMAT, "network_sha256": network.sha256, "names": self.directions.names,
            "streams": [list(key) for key in keys], "numbers": [self.directions.numbers[key] for key in keys],
            "amounts": self.amounts, "root": self.root,
        }  # fmt: skip
        arrays: dict[str, Any] = {f"part_{k}": self.directions.parts[key] for k, key in enumerate(keys)}
        with new_file(path) as stream:
            np.savez_compressed(stream, meta=np.array(json.dumps(meta)), **arrays)

    @classmethod
    def load(cls, path: Path, network: Network) -> ShiftFile:
        """Read a file.

        Raises
        ------
        InputError
            For a file that is none, is damaged, has another format, or was made for another network.
        """
        arrays = read_npz(path, _WHAT)
        meta = take_meta(path, arrays, _WHAT)
        with reading(path, _WHAT):
            check_format(path, meta, _FORMAT)
            if meta["network_sha256"] != network.sha256:
                raise InputError(
                    f"{path}: made for a network with weights {str(meta['network_sha256'])[:12]}..., but the network "
                    f"given has {network.sha256[:12]}...; expected that network"
                )
            names = tuple(str(name) for name in meta["names"])
            keys = [tuple(int(number) for number in stream) for stream in meta["streams"]]
            numbers = {key: int(number) for key, number in zip(keys, meta["numbers"], strict=True)}
            parts = {key: np.asarray(arrays[f"part_{k}"], dtype=np.float64) for k, key in enumerate(keys)}
            amounts = None if meta["amounts"] is None else tuple(float(amount) for amount in meta["amounts"])
            root = None if meta["root"] is None else int(meta["root"])
            if any(number not in range(len(names)) for number in numbers.values()):
                raise InputError(f"{path}: numbers = {shown(meta['numbers'])}: expected 0 to {len(names) - 1}")
            if (amounts is None) is (root is None) or (amounts is not None and len(amounts) != len(names)):
                raise InputError(
                    f"{path}: amounts = {shown(meta['amounts'])}: expected {len(names)} numbers, or a root"
                )
            if not all(np.all(np.isfinite(part)) for part in (*parts.values(), np.array(amounts or 0.0))):
                raise InputError(f"{path}: holds infinite numbers or NaN: expected none")
        return cls(Directions(names, numbers, parts), amounts, root)

    def chip(self, design: Design, seed: int | None) -> ManufacturedChip:
        """Chip of this seed, shifted; with seed None the nominal one.

        Raises
        ------
        InputError
            If the design's chips have none of the numbers that are shifted, or others, or if no chip of the sweep has
            this seed.
        """
        zeros = (0.0,) * len(self.directions.names)
        try:
            along = Along(self.directions, zeros if self.amounts is None else self.amounts)
            chip = design.chip(seed, along)
        except ValueError as error:
            raise InputError(f"the shift is one of another technology ({error})") from None
        lacking = len(set(self.directions.parts) - set(along.met))
        if self.amounts is not None:
            if lacking:
                raise InputError(
                    f"technology {design.technology.name!r}: does not spread {lacking} of the "
                    f"{len(self.directions.parts)} kinds of parts that the shift moves; expected the technology, "
                    "errors and conditions that it was made for"
                )
            return chip
        assert self.root is not None
        if seed is None:
            raise InputError("a shift to Sobol's points: expected the seed of a chip of its sweep")
        number = next((k for k in range(_MOST_CHIPS) if chip_seed(self.root, k) == seed), None)
        if number is None:
            raise InputError(f"chip {seed}: none of the chips of the sweep with root seed {self.root}")
        normal = sobol_normal(self.root, len(self.directions.names), number)
        return design.chip(seed, at_sobol(self.directions, design, seed, normal))
