"""Tanh pairs and row drivers: nominal parts give the wanted functions, spreads and corners act as physics says."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest, truncnorm

from analog_fhn.backends.direct.backend import Direct
from analog_fhn.backends.spice.backend import window_mean
from analog_fhn.cell.base import CircuitCells, DriveStage
from analog_fhn.cell.opamp_fhn.cell import OpAmpFHN
from analog_fhn.cell.opamp_fhn.layout import groups
from analog_fhn.cell.opamp_fhn.stages import drive_stage, thermal_voltage
from analog_fhn.chip import ManufacturedChip
from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.netlist.decks import cell_deck, drive_stage_deck
from analog_fhn.network import Network
from analog_fhn.neuron import FHN, Protocol
from analog_fhn.ngspice.process import SimulatorProcess
from analog_fhn.readout import recentring
from analog_fhn.technology.board import BoardTechnology
from analog_fhn.technology.e_series import in_series
from analog_fhn.technology.technology import Technology

DISCRETE = Technology.load("discrete")
needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")
EXACT = {"opamp": {"gain": 1e18, "bias_current": 0.0}, "resistor": {"series": None}}


def technology(changes: dict[str, dict[str, Any]]) -> Technology:
    return DISCRETE.model_copy(
        update={section: getattr(DISCRETE, section).model_copy(update=values) for section, values in changes.items()}
    )


ANY_VALUE = technology({"resistor": {"series": None}})


def design(n_hidden: int = 3, hidden: str = "sigmoid", parts: Technology = DISCRETE, **fhn: float) -> Design:
    w0 = np.linspace(-1.0, 1.0, 4 * n_hidden).reshape(4, n_hidden)
    w1 = np.linspace(0.5, -0.75, n_hidden * 2).reshape(n_hidden, 2)
    return Design(Network.of_weights((w0, w1), hidden=hidden, fhn=FHN(**fhn)), parts)


def layout(one: Design) -> OpAmpFHN:
    (cell,) = one.cells
    assert isinstance(cell, OpAmpFHN)
    return cell


def cells(one: Design, seed: int | None) -> CircuitCells:
    return one.chip(seed).hardware[0].cells


@pytest.mark.parametrize("fhn", [{}, {"gamma": -1.5, "slope": 1.0}, {"gamma": 0.8, "a": 0.9}])
def test_nominal_pairs_make_the_wanted_drive(fhn: dict[str, float]) -> None:
    made = design(parts=ANY_VALUE, **fhn)
    stage = cells(made, None).drive_stage
    z = np.linspace(-6.0, 6.0, 25)[:, None] * np.ones(3)
    # The mirrors' ratios differ by 0.27 %: half of that is an offset, which no nominal value takes away.
    offset = stage.offset
    assert np.abs(offset).max() < 2e-3 * abs(made.network.fhn.gamma)
    np.testing.assert_allclose(stage.drives(z) - offset, made.network.fhn.drive(z), rtol=0, atol=1e-9)


@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
@pytest.mark.parametrize("fhn", [{}, {"gamma": -1.5}, {"gamma": 0.8}, {"gamma": 1.0}])
def test_nominal_drivers_recentre(hidden: str, fhn: dict[str, float]) -> None:
    made = design(hidden=hidden, parts=technology(EXACT), **fhn)
    rows = cells(made, None).row_stage
    gain, offset = recentring(hidden, made.network.fhn.a, made.network.fhn.gamma)  # type: ignore[arg-type]
    np.testing.assert_allclose(rows.gain, gain, rtol=1e-12)
    # gamma = a for sigmoid weights asks for no shift: 1e12 ohm in its place leaves some 1e-7
    np.testing.assert_allclose(rows.offset, offset, rtol=1e-12, atol=2e-7)
    np.testing.assert_allclose(rows.raw_gain, 1.0, rtol=1e-12)
    np.testing.assert_allclose(rows.raw_offset, 0.0, atol=1e-12)


def test_rows_stay_below_the_read_voltage() -> None:
    made = design(parts=ANY_VALUE)
    driver, sx = layout(made).drivers, layout(made).scales.sx
    # by hand: the inverting amplifier's output for x = +-2.05, the peak of a spike (Vnx = -Vx, reference -10 V)
    rows = [driver.rf / driver.rin * sx * x + driver.rf / driver.rshift * 10.0 for x in (2.05, -2.05)]
    assert rows[0] == pytest.approx(np.full(3, DISCRETE.array.read_voltage), rel=1e-12)
    assert np.all(np.abs(rows[1]) < DISCRETE.array.read_voltage)


@needs_ngspice
@pytest.mark.parametrize(
    ("fhn", "temperature", "supply"),
    [({}, 300.0, 1.0), ({}, 273.0, 1.0), ({"gamma": 0.8, "slope": 1.0}, 343.0, 0.95), ({"gamma": -1.5}, 300.0, 1.05)],
)
def test_drives_are_the_currents_of_the_transistors(fhn: dict[str, float], temperature: float, supply: float) -> None:
    made = design(parts=DISCRETE.under(temperature=temperature, supply=supply), **fhn)
    z = np.array([-8.0, -4.0, -2.0, -1.0, -0.3, 0.0, 0.6, 1.5, 3.0, 8.0])
    full = layout(made).scales.sx / DISCRETE.neuron.r4
    with SimulatorProcess() as simulator:
        for seed, neuron in ((None, 0), (1, 0), (1, 2), (2, 1)):
            circuit = cells(made, seed)
            drives = circuit.drive_stage.drives(z[:, None] * np.ones(3))[:, neuron]
            simulator.load(drive_stage_deck(circuit, neuron, 0.0))
            for v, drive in zip(z, drives, strict=True):
                simulator.alter("vz", v * DISCRETE.tanh_pair.volts_per_unit)
                pushed = simulator.run()["vsum2#branch"]
                assert np.ptp(pushed) < 1e-4 * full, "nothing moves"
                # 0.1 % of full scale: what is left of the base currents' drop, taken as a loss of slope.
                limit = 1e-3 * abs(made.network.fhn.gamma)
                assert drive == pytest.approx(-pushed[-1] / full, abs=limit), (seed, neuron, v)


@needs_ngspice
@pytest.mark.parametrize(
    ("fhn", "recentre"), [({}, True), ({}, False), ({"gamma": 0.8}, True), ({"gamma": 0.8}, False)]
)
def test_a_whole_cell_from_its_input_to_its_row(fhn: dict[str, float], recentre: bool) -> None:
    """V_z in, row voltage out, all transistors and amplifiers in one netlist, against three formulas in a row."""
    made = design(parts=DISCRETE.under(temperature=320.0, supply=0.97), **fhn)
    circuit, protocol = cells(made, 3), Protocol(settle=10.0, control=20.0)
    rows = circuit.row_stage
    gain, offset = (rows.gain, rows.offset) if recentre else (rows.raw_gain, rows.raw_offset)
    drivers = layout(made).drivers
    nominal = drivers.rf[1] / drivers.rin[1] * layout(made).scales.sx
    activation, _ = recentring("sigmoid", made.network.fhn.a, made.network.fhn.gamma)
    to_volts = nominal / abs(activation) if recentre else nominal
    with SimulatorProcess() as simulator:
        simulator.load(cell_deck(circuit, 1, 0.0, protocol, recentre=recentre))
        for z in (-3.0, -0.5, 0.4, 1.5):
            simulator.alter("vz", z * DISCRETE.tanh_pair.volts_per_unit)
            waves = simulator.run()
            found = window_mean(waves["time"] / made.time_unit, waves["row"], 10.0, 30.0)
            drives = circuit.drive_stage.drives(np.full((1, 3), z))
            mean = Direct().respond(circuit, drives, protocol).mean[0, 1]
            # The neuron's mean agrees within 0.01 of x (its finite window and the lags of U3 and the multipliers).
            expected = to_volts * (gain[1] * mean + offset[1])
            assert found == pytest.approx(expected, abs=0.01 * abs(to_volts * gain[1])), z


def nominal_drive_stage(parts: Technology) -> DriveStage:
    stage = cells(design(parts=parts), None).drive_stage
    assert isinstance(stage, DriveStage)
    return stage


def test_compensated_pairs_keep_their_slope() -> None:
    def slope(temperature: float, compensated: bool) -> float:
        corner = {"conditions": {"temperature": temperature}, "tanh_pair": {"compensated": compensated}}
        corner |= {"resistor": {"series": None}}
        return float(nominal_drive_stage(technology(corner)).slope[0])

    for temperature in (273.0, 343.0):
        # the attenuation of 1/40 is not quite proportional to the shunt: rp/(rs + rp)
        assert slope(temperature, True) == pytest.approx(0.5, rel=5e-3)
        assert slope(temperature, False) == pytest.approx(0.5 * 300.0 / temperature, rel=1e-3)


def test_the_tail_follows_the_supply() -> None:
    def gain(supply: float) -> float:
        return float(nominal_drive_stage(technology({"conditions": {"supply": supply}})).gain[0])

    # (15 V * supply - 2 V_BE)/R: V_BE at 40 uA and 5e-16 A is 25.85 mV * ln(8e10) = 0.649 V
    assert gain(1.05) / gain(1.0) == pytest.approx((15.75 - 1.298) / (15 - 1.298), rel=1e-3)


def test_offsets_act_where_they_stand() -> None:
    made = design(parts=ANY_VALUE)
    nominal = cells(made, None)
    fhn, vt = FHN(), thermal_voltage(300.0)

    def stage(**changes: float) -> Any:
        pair = replace(groups(nominal)[1], **{name: np.full(3, value) for name, value in changes.items()})
        return drive_stage(pair, fhn, DISCRETE, layout(made).scales.sx)

    assert stage(vos=1e-3).shift == pytest.approx(np.full(3, 1e-3 / (2 * vt)), rel=5e-3)
    assert stage(dvbe_tail=1e-3).gain == pytest.approx(np.full(3, -np.exp(1e-3 / vt)), rel=1e-4)
    one_sided = stage(dvbe_source=1e-3)
    ends = np.array([[50.0], [-50.0]]) * np.ones(3)
    before, after = nominal.drive_stage.drives(ends), one_sided.drives(ends)
    assert after / before == pytest.approx(np.array([[np.exp(1e-3 / vt)], [1.0]]) * np.ones(3), rel=1e-12)


def every_part(chip: ManufacturedChip) -> dict[str, NDArray[np.float64]]:
    found = {
        f"{kind}.{name}": value
        for kind, parts in zip(("neuron", "pair", "driver"), groups(chip.hardware[0].cells), strict=True)
        for name, value in parts.items()
        if name != "cf"
    }
    found |= {f"sense.{name}": value for array in chip.arrays for name, value in array.sense.items()}
    return found | {"array": np.concatenate([array.crossbar.g_plus.ravel() for array in chip.arrays])}


def test_error_groups_stand_alone() -> None:
    full, nominal = every_part(design().chip(4)), every_part(design().chip(None))
    moved: dict[str, str] = {}
    for group in (
        "resistor",
        "capacitor",
        "opamp",
        "multiplier",
        "tanh_pair",
        "programming",
        *BoardTechnology.SHORT["amplifier"],
    ):
        alone = every_part(design(parts=DISCRETE.with_errors([group])).chip(4))
        changed = [name for name in full if np.any(alone[name] != nominal[name])]
        assert changed, group
        for name in changed:
            assert name not in moved, f"{name} is spread by {moved.get(name)} and by {group}"
            np.testing.assert_array_equal(alone[name], full[name], err_msg=name)
            moved[name] = group
    assert moved.keys() == full.keys(), "every component belongs to one group"
    assert {moved[n] for n in ("pair.rs1", "driver.rf", "neuron.ra")} == {"resistor"}
    assert {moved[n] for n in ("driver.vos", "neuron.vos2")} == {"opamp"}


def test_unknown_error_group_is_refused() -> None:
    with pytest.raises(InputError, match="error group 'resistors': expected some of resistor, capacitor"):
        DISCRETE.with_errors(["resistors"])


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_lots_share_part_of_the_variance(share: float) -> None:
    changes = {"resistor": {"lot_share": share}}
    many = design(200, parts=technology(changes))
    nominal = layout(design()).neurons.r1[0]
    values = np.array([groups(cells(many, seed))[0].r1 / nominal - 1 for seed in range(150)]) / (0.01 / 3)
    var = truncnorm(-3, 3).var()
    within, between = values.var(axis=1, ddof=1).mean(), values.mean(axis=1).var(ddof=1)
    # The copula changes the split by less than 1 %; 150 lots know a variance to 4 sqrt(2/149) = 46 % at 4 sigma.
    assert within == pytest.approx((1 - share) * var, abs=0.02)
    assert between == pytest.approx(share * var, abs=0.46 * share * var + 0.01)
    # One part of each chip: the tolerance class does not depend on the share.
    assert kstest(values[:, 0], truncnorm(-3, 3).cdf).pvalue > 1e-4
    assert np.abs(values).max() <= 3 * (1 + 1e-9)


def test_one_reel_holds_one_value() -> None:
    full = {section: {"lot_share": 1.0} for section in ("resistor", "opamp", "multiplier")}
    warm = {"conditions": {"temperature": 340.0}}
    neurons, pairs, drivers = groups(cells(design(50, parts=technology(full | warm)), 1))
    for name in ("r1", "r3", "ra", "rb"):  # 10 kohm each: values and temperature coefficients
        np.testing.assert_allclose(getattr(neurons, name), neurons.r1[0], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(pairs.rs2, pairs.rs1[0], rtol=1e-12)
    assert abs(neurons.r1[0] / neurons.r4[0] * 10 - 1) > 1e-4, "another value, another reel"
    for offsets in (neurons.vos1, neurons.vos3, drivers.vos):
        np.testing.assert_allclose(offsets, neurons.vos2[0], rtol=1e-12)
    np.testing.assert_allclose(neurons.m2_x, neurons.m1_x[0], rtol=1e-12)
    assert abs(neurons.m1_x[0] - neurons.m1_y[0]) > 1e-6


def test_pairs_that_no_resistor_makes_are_refused() -> None:
    with pytest.raises(InputError, match=r"slope 25 asks for 1\.29 V per unit of z .*volts_per_unit = 1 V"):
        design(slope=25.0)
    thirsty = technology({"tanh_pair": {"beta_npn": 3.0, "shunt": 1e6}})
    with pytest.raises(InputError, match="leaves no attenuator"):
        design(parts=thirsty)
    low = {"supplies": {"positive": 2.0, "negative": -1.2, "linear_range": 1.0, "minimum_scale": 0.1}}
    low |= {
        "opamp": {"output_limit": 1.15},
        "multiplier": {"output_limit": 1.15},
        "sense_amplifier": {"output_limit": 1.15},
    }
    with pytest.raises(InputError, match=r"supplies.*1\.2 V|1\.2 V.*supplies"):
        design(parts=technology(low))


def test_series_values_are_chosen_and_their_errors_reported() -> None:
    made = design()
    cell = layout(made)
    pairs = cell.drive.nominal
    assert {name: float(getattr(pairs, name)[0]) for name in ("rs1", "rp1", "rs2", "rp2")} == {
        "rs1": 37.4e3, "rp1": 1e3, "rs2": 37.4e3, "rp2": 1e3
    }  # fmt: skip
    assert in_series("E96", float(pairs.rabc[0]))
    assert in_series("E96", float(cell.drivers.rf[0]))
    assert in_series("E96", float(cell.drivers.rshift[0]))
    nominal = cells(made, None)
    assert made.errors["slope"] == pytest.approx(float(nominal_drive_stage(DISCRETE).slope[0]) / 0.5 - 1, rel=1e-9)
    assert made.errors["gamma"] == pytest.approx(-float(nominal_drive_stage(DISCRETE).gain[0]) - 1, rel=1e-9)
    # U3's finite gain, 1e-5, is not the series' doing
    assert made.errors["offset"] == pytest.approx(float(nominal.row_stage.offset[0]) - 1.0, abs=3e-5)
    assert all(abs(error) < 0.01 for error in made.errors.values())


def test_temperature_moves_each_part_by_its_own_coefficient() -> None:
    warm = technology({"conditions": {"temperature": 343.0}})
    cold, hot = (every_part(design(5000, parts=parts).chip(2)) for parts in (DISCRETE, warm))
    change = (hot["neuron.r3"] / cold["neuron.r3"] - 1) / 43.0
    assert kstest(change / (50e-6 / 3), truncnorm(-3, 3).cdf).pvalue > 1e-4
    drift = (hot["neuron.vos2"] - cold["neuron.vos2"]) / 43.0
    assert kstest(drift, "norm", args=(0.0, 18e-6)).pvalue > 1e-4
    shunt = hot["pair.rp1"] / cold["pair.rp1"]
    assert shunt == pytest.approx(np.full(5000, 343 / 300), rel=50e-6 * 43 * 1.01)
    np.testing.assert_array_equal(hot["neuron.m1_x"], cold["neuron.m1_x"])


def test_drive_range_holds_all_drives() -> None:
    stage = cells(design(20), 3).drive_stage
    low, high = stage.range()
    drives = stage.drives(np.linspace(-30, 30, 61)[:, None] * np.ones(20))
    assert np.all((drives >= low) & (drives <= high))
    np.testing.assert_allclose(drives[[0, -1]], [high, low], atol=1e-6)
