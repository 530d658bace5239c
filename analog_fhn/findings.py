"""What the checks of a design say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from analog_fhn._support.cards import Card, Grid, Rows
from analog_fhn._support.words import counted

Severity = Literal["error", "warning", "note"]

# TL08x and AD633 drive 2 kohm to 10 V and more; their short-circuit currents are 20 to 30 mA.
CURRENT_WARNING, CURRENT_ERROR = 10e-3, 20e-3

# Below, leads, switches and output stages count; above, leakage over a board does.
RESISTANCE_RANGE = (100.0, 10e6)


@dataclass(frozen=True)
class Finding:
    """One thing to know about a design.

    Parameters
    ----------
    part
        The component it is about: U1, M2, Cx, R5, ...
    quantity
        What was computed, and what is limited.
    value, limit
        Found, and the limit that it crossed, in `unit`.
    unit
        SI unit; "1" for a ratio, "1/(eps T)" for a decay (whose limit is the lowest, all others are the highest).
    severity
        "error": the neuron will not do what its equations say; "warning": it may not; "note": worth knowing.
    message
        The same for people.
    """

    part: str
    quantity: str
    value: float
    limit: float
    unit: str
    severity: Severity
    message: str


class Findings(Rows[Finding]):
    """What the checks of a design say, errors first."""

    def _card(self) -> Card:
        counts = {kind: sum(one.severity == kind for one in self) for kind in ("error", "warning", "note")}
        line = ", ".join(counted(n, kind) for kind, n in counts.items() if n) or "nothing to say"
        grid = Grid(("severity", "part", "what"), [(one.severity, one.part, one.message) for one in self])
        return Card("Findings", line, grids=(grid,) if self else ())


def judge(value: float, warning: float, error: float) -> tuple[Severity, float] | None:
    """Severity and the limit that was crossed."""
    if value > error:
        return "error", error
    if value > warning:
        return "warning", warning
    return None


def unusual_resistance(label: str, ohms: float) -> Finding | None:
    """What to say of a resistor that is too small or too large for a board."""
    low, high = RESISTANCE_RANGE
    if low <= ohms <= high:
        return None
    return Finding(
        label, "resistance", ohms, low if ohms < low else high, "ohm", "warning",
        f"{label} = {ohms:.4g} ohm: outside {low:g} ohm to {high:g} ohm",
    )  # fmt: skip
