"""KiCad itself, under a virtual display: KiAuto opens its windows and presses its buttons."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

from analog_fhn.board.schematic_reader import Package

SYMBOLS = Path("/usr/share/kicad/symbols")
# Where `make kicad` installs it.
KIAUTO = Path(os.environ.get("KIAUTO", Path(sys.prefix) / "kiauto"))
_SYSTEM_PYTHON = "/usr/bin/python3"
_LIMIT = 600.0  # s


def missing() -> str:
    """What is missing, in words; "": nothing."""
    for program in ("eeschema", "Xvfb", "xdotool"):
        if shutil.which(program) is None:
            return f"{program} is not installed: make kicad"
    if not (KIAUTO / "bin" / "eeschema_do").is_file():
        return "KiAuto is not installed: make kicad"
    command = [_SYSTEM_PYTHON, "-c", "import pcbnew"]
    done = subprocess.run(command, capture_output=True, timeout=_LIMIT, check=False)
    return "" if done.returncode == 0 else "the system's Python has no module of KiCad: make kicad"


def eeschema(schematic: Path, out: Path, *command: str) -> str:
    """Let the schematic editor do something, as `eeschema_do` has it; what was said."""
    out.mkdir(exist_ok=True)
    environment = os.environ | {"PYTHONPATH": str(KIAUTO), "HOME": str(out)}
    done = subprocess.run(
        [_SYSTEM_PYTHON, str(KIAUTO / "bin" / "eeschema_do"), "--time_out_scale", "10", *command, schematic, out],
        env=environment, capture_output=True, text=True, timeout=_LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def violations(schematic: Path, out: Path) -> list[str]:
    """Errors and warnings of the electrical rules check, each with its place."""
    eeschema(schematic, out, "run_erc", "-o", "rules.txt")
    text = (out / "rules.txt").read_text(encoding="utf-8")
    assert "ERC messages:" in text
    return re.findall(r"^\[.*(?:\n    .*)*", text, re.MULTILINE)


def as_kicad_reads_it(packages: list[Package], schematic: Path, out: Path) -> list[Package]:
    """Packages with values, fields and nets of the netlist that KiCad makes; pins have the names of their symbols."""
    eeschema(schematic, out, "bom_xml")
    tree = ET.parse(schematic.with_suffix(".xml"))
    nets = {
        (node.get("ref"), node.get("pin")): str(net.get("name"))
        for net in tree.iterfind("nets/net")
        if not str(net.get("name")).startswith("unconnected-(")
        for node in net.iterfind("node")
    }
    known = {package.reference: package for package in packages}
    found = []
    for part in tree.iterfind("components/comp"):
        package = known.pop(str(part.get("ref")))
        fields = {str(one.get("name")): one.text or "" for one in part.iterfind("fields/field")}
        pins = tuple(replace(pin, net=nets.pop((package.reference, pin.number), None)) for pin in package.pins)
        found.append(Package(package.reference, part.findtext("value", ""), fields, pins))
    assert not known, f"KiCad does not have {', '.join(known)}"
    assert not nets, f"KiCad has further pins: {nets}"
    return found
