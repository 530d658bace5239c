"""What ngspice says: faults, and its version."""

from __future__ import annotations

import re
from collections.abc import Iterable

from analog_fhn.errors import MissingProgramError

INSTALL = (
    "install ngspice and its library (Debian, Ubuntu: apt install ngspice libngspice0) "
    'and PySpice (pip install "analog-fhn[spice]")'
)

_FAULT = re.compile(
    r"^\s*(fatal\b|error\b)|unknown subckt|undefined parameter|cannot compute substitute|unknown parameter"
    r"|timestep too small|simulation\(s\) aborted|not started|cannot recover",
    re.IGNORECASE,
)
# A singular matrix is only a warning: ngspice may recover from it, and if it does not, it aborts the run.
_HARMLESS = ("Warning:", "Note:", "Circuit:")


def faults(lines: Iterable[str]) -> list[str]:
    """Those of ngspice's messages that mean that something went wrong.

    Warnings, notes, progress of gmin and source stepping, and names of solvers do not; nor does a title or a netlist
    line that happens to hold the word "error".
    """
    return [line.strip() for line in lines if _FAULT.search(line) and not line.lstrip().startswith(_HARMLESS)]


def version_in(text: str, source: str) -> str:
    """Version that stands in what a program or library of this name said when asked for it.

    Raises
    ------
    MissingProgramError
        If none stands there: it is something else.
    """
    match = re.search(r"ngspice-([0-9][0-9.+a-z-]*)", text)
    if match is None:
        raise MissingProgramError(f"{source} is not ngspice: asked for its version, it says {text[:80]!r}; {INSTALL}")
    return match.group(1)
