"""ngspice's small-signal noise analysis of a drive stage."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def output_noise(deck: str, folder: Path) -> float:
    """Density (A/sqrt(Hz)) at 100 Hz of the current that the drive stage of a deck pushes into its summing node."""
    lines = [line for line in deck.splitlines() if not line.startswith((".tran", ".save")) and line != ".end"]
    lines = [line + " ac 1" if line.startswith("Vz") else line for line in lines]
    path = folder / "noise.cir"
    path.write_text("\n".join([*lines, "Hout nout 0 Vsum2 1", "Rout nout 0 1e9",
                               ".control", "noise v(nout) vz dec 1 100 1000", "setplot noise1",
                               "print onoise_spectrum", "quit", ".endc", ".end", ""]))  # fmt: skip
    run = subprocess.run(["ngspice", "-b", path.name], cwd=folder, capture_output=True, text=True, timeout=60)
    return float(re.findall(r"^0\t\S+\t(\S+)", run.stdout, re.MULTILINE)[0])
