"""What ngspice, LTspice and Xyce share of the language of netlists."""

from __future__ import annotations

import re


def check_portable(
    text: str, directives: tuple[str, ...] = (), elements: str = "", functions: tuple[str, ...] = ()
) -> list[str]:
    """Lines that are no comments, each within what three simulators share, or among these directives and elements."""
    assert text.startswith("*")
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("*")]
    for line in code:
        assert not re.search(r"\^|\*\*|//|\$|;", line), line
        assert not re.search(r"\b(limit|if|pow|pwr|agauss|gauss|trnoise|ddt|idt|log|ln|u|uramp)\s*\(", line, re.I), line
        assert not re.search(r"\b(gnd|poly|trnoise)\b", line, re.I), line
        assert not re.search(r"\d[munpfkgt]\b|\dmeg\b|\dmil\b", line, re.I), f"a number with a unit suffix: {line}"
        if line.startswith("."):
            assert line.split()[0] in (".subckt", ".ends", ".param", ".model", *directives), line
        # A transistor has four words after its name: collector, base, emitter, model (LTspice would take a fifth as
        # an area, Xyce a fourth node as the substrate).
        if line[0] == "Q":
            assert len(line.split()) == 5, line
        assert line[0].upper() in f"CDEFGHIQRVX.+{elements}", line
        if line[0] in "EG" and "{" in line and "VALUE" not in line:
            assert re.fullmatch(r"[EG]\w+ \w+ \w+ \w+ \w+ \{[^}]*\}", line), line
        for function in re.findall(r"([A-Za-z]\w*)\(", line):
            assert function in ("tanh", "sqrt", "exp", "abs", "min", "max", "v", "i", "D", "NPN", "PNP", *functions), (
                line
            )
        for probe in re.findall(r"\bi\(([^)]*)\)", line):
            assert any(other.startswith(f"{probe} ") for other in code if other[0] == "V"), f"no voltage source {probe}"
    return code
