"""Sense amplifiers: the formulas of the columns against ngspice's operating point of the same circuit."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analog_fhn._support.resources import resource
from analog_fhn.array.sense import SenseParts, columns
from analog_fhn.array.wires import solve_tiled
from analog_fhn.neuron import FloatArray
from analog_fhn.ngspice.text import number
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")

N_ROWS, N_OUT = 6, 3


def parts(seed: int) -> SenseParts:
    """Resistors 20 % and offsets 50 mV off: a hundred times what real parts are."""
    rng = np.random.default_rng(seed)
    rf, ra, rb = (r * rng.uniform(0.8, 1.2, N_OUT) for r in (4e3, 3e3, 5e3))
    return SenseParts(rf, ra, rb, rng.normal(0, 0.05, N_OUT), rng.normal(0, 0.05, N_OUT))


def technology(gain: float, bias: float) -> Technology:
    made = Technology.load("discrete")
    changes = {"gain": gain, "bias_current": bias}
    return made.model_copy(update={"sense_amplifier": made.sense_amplifier.model_copy(update=changes)})


def operating_points(
    folder: Path, conductance: FloatArray, sense: SenseParts, made: Technology, volts: FloatArray, r: float
) -> FloatArray:
    """Outputs (V), shape (n_cases, n_out), for row voltages (n_cases, n_rows); word and bit segments of r ohm."""
    amplifier = made.sense_amplifier
    for name in ("opamp.lib", "transimpedance.lib"):
        shutil.copyfile(resource("netlists", name), folder / name)
    lines = [
        "sense amplifiers", ".include opamp.lib", ".include transimpedance.lib", "Vcc vcc 0 15", "Vee vee 0 -15",
        ".options reltol=1e-9 abstol=1e-16 vntol=1e-13 gmin=1e-18",
    ]  # fmt: skip
    lines += [f"V{i} row{i} 0 0" for i in range(N_ROWS)]
    for (i, j), g in np.ndenumerate(conductance):
        word, bit = (f"w{i}_{j}", f"b{i}_{j}") if r else (f"row{i}", f"col{j}")
        lines.append(f"R{i}_{j} {word} {bit} {number(1 / g)}")
        if r:
            lines.append(f"Rw{i}_{j} {f'w{i}_{j - 1}' if j else f'row{i}'} w{i}_{j} {r}")
            lines.append(f"Rb{i}_{j} b{i}_{j} {f'b{i + 1}_{j}' if i < N_ROWS - 1 else f'col{j}'} {r}")
    for k in range(N_OUT):
        values = " ".join(f"{name}={number(value[k])}" for name, value in sense.items())
        lines.append(
            f"X{k} col{2 * k} col{2 * k + 1} out{k} vcc vee transimpedance PARAMS: {values} "
            f"ib={amplifier.bias_current} gain={amplifier.gain}"
        )
    lines += [".control", "set numdgt=15"]
    for case in volts:
        lines += [f"alter v{i} = {number(v)}" for i, v in enumerate(case)]
        lines += ["op", *(f"print v(out{k})" for k in range(N_OUT))]
    lines += ["quit", ".endc", ".end", ""]
    (folder / "sense.cir").write_text("\n".join(lines))
    done = subprocess.run(["ngspice", "-b", "sense.cir"], cwd=folder, capture_output=True, text=True, check=True)
    found = [float(value) for value in re.findall(r"^v\(out\d\) = (\S+)", done.stdout, re.MULTILINE)]
    return np.array(found).reshape(len(volts), N_OUT)


@needs_ngspice
@pytest.mark.parametrize(
    ("effect", "gain", "bias", "r"),
    [
        ("offsets", 1e6, 0.0, 0.0),
        ("bias current", 1e6, 1e-5, 0.0),
        ("finite gain", 500.0, 1e-5, 0.0),
        ("wires", 1e6, 1e-5, 40.0),
    ],
)
def test_columns_are_what_ngspice_finds(effect: str, gain: float, bias: float, r: float, tmp_path: Path) -> None:
    """To a millionth of full scale: what wires let the finite gain of other columns do is less than that."""
    rng = np.random.default_rng(3)
    conductance = rng.uniform(1e-6, 200e-6, (N_ROWS, 2 * N_OUT))
    sense, made = parts(1), technology(gain, bias)
    volts = np.vstack([np.zeros(N_ROWS), rng.uniform(0, 1, (4, N_ROWS))])
    found = operating_points(tmp_path, conductance, sense, made, volts, r)
    full_scale = made.supplies.linear_range

    def deviation(sense: SenseParts, r: float, made: Technology) -> float:
        expected = columns(sense, solve_tiled(conductance, Wires(word=r, bit=r)), made)
        return float(np.abs(found - volts @ expected.gain - expected.offset).max())

    assert deviation(sense, r, made) < 1e-6 * full_scale
    without = {
        "offsets": (replace(sense, vos1=np.zeros(N_OUT), vos2=np.zeros(N_OUT)), r, made),
        "bias current": (sense, r, technology(gain, 0.0)),
        "finite gain": (sense, r, technology(1e12, bias)),
        "wires": (sense, 0.0, made),
    }[effect]
    assert deviation(*without) > 1e-3 * full_scale
