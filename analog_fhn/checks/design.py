"""Everything that may be wrong with a design: its technology, its cells, its low-passes and hold stages, its arrays."""

from __future__ import annotations

from collections.abc import Iterator

from analog_fhn.checks.array import check_arrays
from analog_fhn.checks.hold import check_holds
from analog_fhn.checks.low_pass import check_low_passes
from analog_fhn.design import Design
from analog_fhn.findings import Finding, Findings


def check(design: Design) -> Findings:
    """Findings about a design, errors first.

    Parameters
    ----------
    design
        All of its cells, arrays, low-passes and hold stages are looked at, with their nominal values.
    """
    rank = {"error": 0, "warning": 1, "note": 2}
    findings = [
        *_unusual(design), *_cells(design), *check_low_passes(design), *check_holds(design), *check_arrays(design)
    ]  # fmt: skip
    return Findings(sorted(findings, key=lambda one: rank[one.severity]))


def _unusual(design: Design) -> Iterator[Finding]:
    for one in design.technology.unusual():
        yield Finding(one.key, "value", one.value, one.limit, one.quantity.unit, "warning", str(one))


def _cells(design: Design) -> Iterator[Finding]:
    """Findings about the cells, each once where those of several layers share it."""
    seen = set()
    for cell in design.cells:
        for finding in (*cell.findings(), *cell.window_findings(design.network.protocol)):
            if finding.message not in seen:
                seen.add(finding.message)
                yield finding
