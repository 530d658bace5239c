"""Findings about arrays, against the chips that the same design gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analog_fhn.checks.design import check
from analog_fhn.design import Design
from analog_fhn.findings import Finding
from analog_fhn.network import Network
from analog_fhn.technology.technology import Technology
from analog_fhn.technology.wires import Wires

DISCRETE = Technology.load("discrete")


def design(n_in: int = 200, n_hidden: int = 40, **changes: dict[str, Any]) -> Design:
    rng = np.random.default_rng(0)
    network = Network.of_weights((rng.normal(size=(n_in, n_hidden)), rng.normal(size=(n_hidden, 5))))
    return Design(
        network,
        DISCRETE.model_copy(
            update={name: getattr(DISCRETE, name).model_copy(update=values) for name, values in changes.items()}
        ),
    )


def findings(made: Design, words: str) -> list[Finding]:
    return [finding for finding in check(made) if words in finding.quantity]


def test_discrete_has_no_warnings() -> None:
    assert [f.message for f in check(design()) if f.severity != "note"] == []


@pytest.mark.parametrize(("ohm", "severity"), [(0.05, None), (2.0, "warning"), (20.0, "error")])
def test_loss_in_the_wires_is_announced(ohm: float, severity: str | None) -> None:
    made = design(array={"wires": Wires(word=ohm, bit=ohm)})
    found = findings(made, "lost in its wires")
    assert [f.severity for f in found if f.part == "input array"] == ([severity] if severity else [])
    if severity == "warning":
        arrays = made.chip(None).arrays
        exact = 1.0 - arrays[0].ports.effective.sum() / arrays[0].crossbar.conductance.sum()
        assert found[0].value == pytest.approx(exact, rel=0.2)
        assert "tiles of" in found[0].message


def test_arrays_without_conductance_lose_nothing() -> None:
    technology = DISCRETE.model_copy(
        update={"array": DISCRETE.array.model_copy(update={"g_min": 0.0, "wires": Wires(word=1.0, sense=1.0)})}
    )
    made = Design(Network.of_weights((np.zeros((9, 4)), np.zeros((4, 3)))), technology)
    assert findings(made, "lost in its wires") == []


def test_thicker_wires_are_the_advice_where_no_tile_helps() -> None:
    (finding, *_) = findings(design(array={"wires": Wires(driver=2e3, sense=2e3)}), "lost in its wires")
    assert finding.message.endswith("; no tile would lose less than 5 %: thicker wires help")


def test_resistors_of_the_amplifiers_that_no_board_has_are_announced() -> None:
    # 1 V per unit of z, from g_max = 0.1 S for the largest weight at 1 V
    (first, *_) = [f for f in findings(design(array={"g_max": 0.1}), "resistance") if f.part == "Rb of the input array"]
    ideal = 1.0 / design(array={"g_max": 0.1}).arrays[0].crossbar.siemens_per_weight
    assert (first.severity, first.value) == ("warning", pytest.approx(ideal, rel=0.03))


def test_tiles_take_the_warning_away() -> None:
    wires = Wires(word=2.0, bit=2.0)
    made = design(array={"wires": wires, "tile_rows": 32, "tile_columns": 32})
    assert findings(made, "lost in its wires") == []


def test_offsets_are_announced_as_large_as_chips_have_them() -> None:
    made = design(sense_amplifier={"offset_sigma": 5e-3})
    (finding,) = findings(made, "offsets (sigma)")
    assert finding.severity == "warning"
    chips = [made.chip(seed) for seed in range(60)]
    z = np.concatenate([chip.layers[0].bias for chip in chips])
    sigma = np.sqrt(np.mean(z**2)) * made.network.fhn.slope
    # 2400 values: four standard errors are 6 %
    assert finding.value == pytest.approx(float(sigma), rel=0.06)


def test_finite_gain_is_announced_as_large_as_it_is() -> None:
    made = design(sense_amplifier={"gain": 2e3, "resistor_tolerance": 0.0, "series": None})
    found = [f for f in findings(made, "finite gain") if f.part == "U2 of the input array"]
    assert found[0].severity == "warning"
    weak, strong = made.chip(None), design(sense_amplifier={"gain": 1e12, "series": None}).chip(None)
    # Negative weights go through U2, but for what g_min takes through U1.
    minus = weak.arrays[0].ports.effective[:, 1::2]
    column = int(np.argmax(minus.sum(axis=0)))
    negative = made.crossbars[0].g_minus[:, column] > made.crossbars[0].g_plus[:, column]
    ratio = (weak.layers[0].weights / strong.layers[0].weights)[negative, column]
    assert np.median(1.0 - ratio) == pytest.approx(found[0].value, rel=5e-3)


def test_amplifier_that_clips_before_the_tanh_is_announced() -> None:
    assert findings(design(), "where their output ends") == []
    for volts, severity in ((4.0, "warning"), (8.0, "error")):
        (finding,) = findings(design(tanh_pair={"volts_per_unit": volts}), "where their output ends")
        assert (finding.severity, finding.value) == (severity, pytest.approx(0.5 * 13.5 / volts))


def test_large_currents_of_u1_are_a_note() -> None:
    (finding,) = findings(design(n_in=3000, n_hidden=4), "output current")
    arrays = design(n_in=3000, n_hidden=4).arrays
    assert finding.severity == "note"
    assert finding.value == pytest.approx(2.0 * float(arrays[0].crossbar.g_plus.sum(axis=0).max()))


def test_weights_that_clipping_takes_much_of_are_told_of() -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_t(2.0, size=(200, 50))  # heavy tails
    network = Network.of_weights((weights, rng.normal(size=(50, 3))))
    messages = [finding.message for finding in check(Design(network, Technology.load("discrete")))]
    assert any(message.startswith("input array: weights beyond") and "clip_quantile" in message for message in messages)
    whole = Technology.load("discrete").with_values({"array.clip_quantile": 1.0})
    assert not any("are clipped" in finding.message for finding in check(Design(network, whole)))
