"""Chips that are shifted towards failure, in SQLite: rows as those of a sweep, and each chip's projections."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from analog_fhn._support.json_text import read_json
from analog_fhn.errors import InputError, shown
from analog_fhn.montecarlo.plan import SweepPoint
from analog_fhn.montecarlo.store import SCHEMA, Store
from analog_fhn.montecarlo.trial import ShiftedTrial, Trial

_AGAIN = 1e-6  # sigmas by which a search that is gone through again may go another way, for rounding


class ShiftedStore(Store):
    """A folder's `rare.sqlite`; see `Store`. A point is a round of the search, or the estimate."""

    FILE: ClassVar[str] = "rare.sqlite"
    COMMAND: ClassVar[str] = "analog-fhn rare"
    TABLES: ClassVar[tuple[str, ...]] = (*Store.TABLES, "projections")
    SCHEMA: ClassVar[str] = (
        SCHEMA
        + """
CREATE TABLE projections (
    point INTEGER NOT NULL, trial INTEGER NOT NULL, projections TEXT NOT NULL, PRIMARY KEY (point, trial)
);
"""
    )

    def _insert(self, trials: Sequence[Trial]) -> None:
        super()._insert(trials)
        rows = [(t.point, t.trial, json.dumps(t.projections.tolist())) for t in trials if isinstance(t, ShiftedTrial)]
        self._db.executemany("INSERT INTO projections VALUES (?, ?, ?)", rows)

    def chips(self, point: SweepPoint) -> dict[int, ShiftedTrial]:
        """Chips of a point that are there, by their number; a point that is not there is stored.

        Raises
        ------
        InputError
            If the point that is there has other amounts, or a row is none of ours; names it.
        """
        assert point.amounts is not None
        known = self.points()
        if point.number == len(known):
            self.add_point(replace(point, settings={"amounts": list(point.amounts)}))
            return {}
        amounts = known[point.number].settings.get("amounts")
        if not _close(amounts, point.amounts):
            raise InputError(
                f"{self._path}, table points, point {point.number}: shifted by {shown(amounts)}, but the search comes "
                f"to {shown(list(point.amounts))}; expected the machine on which it began, or another folder"
            )
        texts = dict(self._rows("SELECT trial, projections FROM projections WHERE point = ?", (point.number,)))
        directions = len(point.amounts)
        return {one.trial: self._shifted(one, texts.get(one.trial), directions) for one in self.trials(point.number)}

    def _shifted(self, trial: Trial, text: Any, directions: int) -> ShiftedTrial:
        where = f"{self._path}, table projections, point {trial.point}, trial {trial.trial}"
        values: Any = read_json(text, where) if isinstance(text, str) else None
        if not _numbers(values, directions):
            raise InputError(f"{where}: {shown(values)}: expected {directions} numbers")
        return ShiftedTrial(**vars(trial), projections=np.array(values, dtype=np.float64))


def _numbers(values: Any, number: int) -> bool:
    """Whether these are so many finite numbers."""
    return (
        isinstance(values, list)
        and len(values) == number
        and all(isinstance(value, int | float) and np.isfinite(value) for value in values)
    )


def _close(stored: Any, amounts: Sequence[float]) -> bool:
    return _numbers(stored, len(amounts)) and bool(np.allclose(stored, amounts, rtol=0.0, atol=_AGAIN))


def open_shifted(folder: Path, meta: dict[str, Any]) -> ShiftedStore:
    """The store of a folder, new if there is none."""
    return (
        ShiftedStore(folder, write=True)
        if (folder / ShiftedStore.FILE).exists()
        else ShiftedStore.create(folder, meta, [])
    )
