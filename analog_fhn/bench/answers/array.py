"""Conductances of the arrays' devices."""

from __future__ import annotations

from typing import Any

from analog_fhn.bench.answers.plain import packed
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.state import State
from analog_fhn.bench.work import Watch

_MOST = 1_500_000  # devices of one array that are sent


def array(bench: Bench, state: State, watch: Watch) -> dict[str, Any]:
    """Conductances (S) of every array as laid out: word lines down, bit lines along (+, -, +, -, ...)."""
    chip, names = bench.chip(state, watch), bench.design(state, watch).array_names
    arrays = []
    for name, one in zip(names, chip.arrays, strict=True):
        conductance = one.crossbar.conductance
        every = 1
        while conductance[::every].size > _MOST:
            every += 1
        arrays.append(
            {
                "name": name, "every": every, "rows": len(conductance), "columns": conductance.shape[1],
                "bias_rows": one.crossbar.bias_rows, "siemens_per_weight": one.crossbar.siemens_per_weight,
                "lowest": float(conductance.min()), "largest": float(conductance.max()),
                "conductance": packed(conductance[::every]),
            }
        )  # fmt: skip
    section = chip.technology.array
    return {"arrays": arrays, "g_min": section.g_min, "g_max": section.g_max}
