"""Files of the bench: good ones are read, bad ones are refused with what is wrong and where."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repairs import N_HIDDEN, bench, deep_network, digits_network, images, technology

from analog_fhn.design import Design
from analog_fhn.errors import InputError
from analog_fhn.trim.bench import SimulatedBench
from analog_fhn.trim.codes import TrimHardware
from analog_fhn.trim.measurements import LabelledRows, Measurements, NeuronResponses, load_measurements
from analog_fhn.trim.recorded import from_measurements
from analog_fhn.trim.repair import spread_drives


@cache
def design() -> Design:
    return Design(digits_network(), technology(resistor__tolerance=0.14))


@cache
def measured(seed: int = 1, points: int = 5) -> tuple[np.ndarray, np.ndarray]:
    tested = bench(seed, resistor__tolerance=0.14)
    drives = spread_drives(digits_network(), points)
    return drives, tested.neurons(0, drives)


def lines(drives: np.ndarray, responses: np.ndarray) -> list[str]:
    return ["neuron,drive,response"] + [
        f"{j},{drives[i, j]!r},{responses[i, j]!r}".replace("np.float64(", "").replace(")", "")
        for j in range(drives.shape[1])
        for i in range(len(drives))
    ]


def csv_file(folder: Path, rows: list[str]) -> Path:
    path = folder / "bench.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def npz_file(folder: Path, **arrays: Any) -> Path:
    path = folder / "bench.npz"
    np.savez(path, **arrays)
    return path


def test_csv_and_npz_give_the_same(tmp_path: Path) -> None:
    drives, responses = measured()
    one = load_measurements(csv_file(tmp_path, lines(drives, responses)), design())
    other = load_measurements(npz_file(tmp_path, drives=drives[:, 0], responses=responses), design())
    np.testing.assert_allclose(one.layers[0].responses, responses, rtol=1e-12)
    np.testing.assert_allclose(one.layers[0].drives, drives, rtol=1e-12)
    np.testing.assert_array_equal(other.layers[0].responses, responses)
    np.testing.assert_array_equal(other.layers[0].drives, drives)


@pytest.mark.parametrize(
    ("separator", "decimal", "encoding", "head"),
    [
        (";", ",", "utf-8", ""), ("\t", ",", "utf-16", ""), (" ", ".", "utf-8", ""), (",", ".", "utf-8-sig", ""),
        (",", ".", "latin-1", "# Prüfstand\n"), (",", ".", "utf-8", "# "), (";", ",", "utf-8", "# 20 °C, 5 V\n"),
    ],
)  # fmt: skip
def test_every_dialect_gives_the_same(tmp_path: Path, separator: str, decimal: str, encoding: str, head: str) -> None:
    drives, responses = measured()
    text = head + "\n".join(lines(drives, responses)).replace(",", separator).replace(".", decimal)
    path = tmp_path / "bench.csv"
    path.write_bytes(text.replace("neuron", "Neuron").encode(encoding))
    np.testing.assert_allclose(load_measurements(path, design()).layers[0].responses, responses, rtol=1e-12)


def test_columns_in_any_order_and_neurons_with_more_points_than_others(tmp_path: Path) -> None:
    drives, responses = measured()
    rows = [",".join(reversed(row.split(","))) for row in lines(drives, responses)]
    found = load_measurements(csv_file(tmp_path, rows[:-2]), design())
    assert np.isnan(found.layers[0].responses[3:, -1]).all()
    np.testing.assert_allclose(found.layers[0].responses[:3, -1], responses[:3, -1], rtol=1e-12)


def test_volts_are_turned_into_x(tmp_path: Path) -> None:
    drives, responses = measured()
    path = csv_file(tmp_path, lines(drives, responses * design().cells[0].volts_per_x))
    np.testing.assert_allclose(load_measurements(path, design(), "volts").layers[0].responses, responses, rtol=1e-12)


def test_codes_from_a_file_are_those_from_the_chip(tmp_path: Path) -> None:
    drives, responses = measured()
    found = from_measurements(
        load_measurements(csv_file(tmp_path, lines(drives, responses)), design()), design(), TrimHardware()
    )
    chip = bench(1, resistor__tolerance=0.14).chip
    # x = -(q0 + q3 I)/q1: the slope that the gain code has to take back
    gain, _ = found.state.codes.rows[0].factors(TrimHardware())
    np.testing.assert_allclose(
        gain * chip.layers[0].cells.dynamics.q[:, 3] / chip.layers[0].cells.dynamics.q[:, 1],
        1.0,
        atol=TrimHardware().gain_step + 5e-3,
    )
    assert found.trained is None


def test_a_readout_comes_with_activations_and_labels(tmp_path: Path) -> None:
    tested = bench(1, resistor__tolerance=0.14)
    drives, responses = measured()
    shown = images("train", 300)
    hidden, scores = tested.both(shown.images, 1)
    path = npz_file(
        tmp_path, drives=drives, responses=responses, hidden=hidden, labels=shown.labels, scores=scores
    )  # fmt: skip
    found = from_measurements(load_measurements(path, design()), design(), TrimHardware())
    assert found.trained is not None
    before = np.mean(scores.argmax(axis=1) == shown.labels)
    assert np.mean(found.trained.readout.classes(hidden) == shown.labels) > before
    assert found.state.targets[1].writes is not None
    assert found.state.codes.output.any()


def bad_csv(change: str) -> list[str]:
    drives, responses = measured()
    rows = lines(drives, responses)
    if change == "missing neuron":
        return [row for row in rows if not row.startswith("3,")]
    if change == "unknown neuron":
        return [*rows, "24,0.1,-1.1"]
    if change == "half a neuron":
        return [*rows, "1.5,0.1,-1.1"]
    if change == "nan":
        return [*rows[:4], "0,0.4,nan", *rows[5:]]
    if change == "text":
        return [*rows[:4], "0,0.4,high", *rows[5:]]
    if change == "short":
        return [*rows, "3,0.1"]
    if change == "column":
        return [row + (",note" if k == 0 else ",1") for k, row in enumerate(rows)]
    if change == "two points":
        return [row for k, row in enumerate(rows) if not (row.startswith("5,") and k % 5 > 1)]
    if change == "equal":
        return [f"7,0.5,{row.split(',')[2]}" if row.startswith("7,") else row for row in rows]
    if change == "two drives":
        own = [row.split(",") for row in rows if row.startswith("7,")]
        twice = [f"7,{own[k][1]},{own[k][2]}" for k in (0, 4, 4)]
        return [row for row in rows if not row.startswith("7,")] + twice
    if change == "narrow":
        return lines(1e-3 * drives, 1e-3 * (responses + 1.0) - 1.0)
    factor = {"volts": 4.0, "millivolts": 4000.0, "rising": -1.0}.get(change)
    if factor is not None:
        return lines(drives, responses * factor)
    assert change == "drive volts"
    return lines(drives * 4.0, responses)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing neuron", r"bench\.csv: no measurement of neuron 3; expected at least 3"),
        ("unknown neuron", r"line 122, column 'neuron': 24; the network has neurons 0 to 23"),
        ("half a neuron", r"column 'neuron': '1\.5'; expected a whole number"),
        ("nan", r"line 5, column 'response': 'nan'; expected a finite number"),
        ("text", r"line 5, column 'response': 'high'; expected a finite number"),
        ("short", r"line 122: 2 values; expected 3"),
        ("column", r"line 1: unknown column 'note'; expected the columns neuron,drive,response"),
        ("two points", r"2 points of neuron 5; expected at least 3"),
        ("equal", r"1 different drives of neuron 7; expected at least 3"),
        ("two drives", r"2 different drives of neuron 7; expected at least 3"),
        (
            "narrow",
            r"the drives of neuron 0, 1, 2, 3, 4 and 19 more span 0\.0019; expected at least 0\.3, best spread ",
        ),
        ("volts", r"they look like volts \(--unit volts\)"),
        ("millivolts", r"they look like millivolts"),
        ("rising", r"fall by -0\.9"),
        ("drive volts", r"drives up to 3\.8; expected dimensionless drives"),
    ],
)
def test_bad_csv_files_are_refused(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_measurements(csv_file(tmp_path, bad_csv(change)), design())


def test_x_read_as_volts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="they look like x itself"):
        load_measurements(csv_file(tmp_path, lines(*measured())), design(), "volts")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drives": None}, "key 'drives' is missing"),
        ({"note": np.ones(2)}, "unknown key 'note'; expected some of drives, responses, hidden, labels, scores"),
        ({"responses": np.ones((5, 7))}, r"key 'responses': shape \(5, 7\); expected \(m, 24\)"),
        ({"drives": np.ones(4)}, r"key 'drives': shape \(4,\); expected \(5,\) or \(5, 24\)"),
        ({"hidden": np.ones((9, N_HIDDEN))}, "key 'hidden' without 'labels'"),
        ({"hidden": np.ones((9, 3)), "labels": np.ones(9)}, r"key 'hidden': shape \(9, 3\); expected \(k, 24\)"),
        ({"hidden": np.ones((9, N_HIDDEN)), "labels": np.ones(8)}, r"key 'labels': shape \(8,\); expected \(9,\)"),
        (
            {"hidden": np.ones((9, N_HIDDEN)), "labels": np.arange(9) + 2},
            "key 'labels', index 8: 10; expected a whole number from 0 to 9",
        ),
        ({"scores": np.ones((9, 10))}, "key 'scores' without 'hidden'"),
        (
            {"hidden": np.full((9, N_HIDDEN), np.inf), "labels": np.ones(9)},
            r"key 'hidden', index \(0, 0\): inf; expected a finite number",
        ),
        ({"labels": np.array(["a"] * 9), "hidden": np.ones((9, N_HIDDEN))}, "key 'labels': type <U1"),
        ({"responses": np.array([{"a": 1}] * 5)}, "pickled Python objects"),
        (
            {"hidden": np.ones((0, N_HIDDEN)), "labels": np.ones(0)},
            "key 'hidden': 0 rows; expected labelled images in at",
        ),
        ({"hidden": np.ones((24, N_HIDDEN)), "labels": np.ones(24)}, "key 'hidden': 24 rows; .* at least 25"),
        ({"hidden": np.ones((30, N_HIDDEN)), "labels": np.ones(30)}, "key 'labels': all are 1; expected at least two"),
    ],
)
def test_bad_npz_files_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    drives, responses = measured()
    arrays = {"drives": drives, "responses": responses} | change
    path = npz_file(tmp_path, **{name: value for name, value in arrays.items() if value is not None})
    with pytest.raises(InputError, match=message):
        load_measurements(path, design())


@pytest.mark.parametrize(
    ("hidden", "scores", "message"),
    [
        (1e3, 1.0, r"key 'hidden': values from .* to 1\.?.*e\+03; expected activations about from 0 to 1"),
        (1e-3, 1.0, "key 'hidden': values from .* expected activations about from 0 to 1"),
        (1.0, 1e3, r"key 'scores': they vary by .*e\+0\d rms over the images; expected about"),
        (1.0, 0.0, "key 'scores': they vary by 0 rms"),
    ],
)
def test_activations_and_scores_in_another_unit_are_refused(
    tmp_path: Path, hidden: float, scores: float, message: str
) -> None:
    drives, responses = measured()
    shown = images("train", 30)
    rows, outputs = bench(1, resistor__tolerance=0.14, array__programming_error=0.5).both(shown.images, 1)
    arrays = {"drives": drives, "responses": responses, "hidden": rows, "labels": shown.labels, "scores": outputs}
    assert load_measurements(npz_file(tmp_path, **arrays), design()).rows is not None
    arrays |= {"hidden": hidden * rows, "scores": scores * outputs}
    with pytest.raises(InputError, match=message):
        load_measurements(npz_file(tmp_path, **arrays), design())


def test_neurons_that_no_code_mends_are_named() -> None:
    drives, responses = (each.copy() for each in measured())
    responses[:, 5], responses[:, 9] = -1.0 - 1e-3 * drives[:, 5], -1.0 - 2.0 * drives[:, 9]
    found = from_measurements(Measurements((NeuronResponses(drives, responses),)), design(), TrimHardware())
    assert found.beyond == ((5, 9),)
    assert found.state.codes.rows[0].gain[[5, 9]].tolist() == [127, -128]
    # Gain codes of both, and the offset code that the flat one would need
    assert found.state.codes.saturated >= 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a \.csv or \.npz file"):
        load_measurements(tmp_path / "bench.xlsx", design())
    with pytest.raises(InputError, match="cannot be read"):
        load_measurements(tmp_path / "absent.csv", design())


def labelled_files(number: int = 60, **bad: float) -> tuple[Design, dict[str, Any]]:
    """What a bench writes of a bad chip, with volts per unit of its activations and scores known from the design."""
    tested, shown = bench(3, digits_network(True), **bad), images("train", number)
    drives = spread_drives(digits_network(True), 5)
    hidden, scores = tested.both(shown.images, 1)
    arrays = {"drives": drives, "responses": tested.neurons(0, drives), "hidden": hidden, "labels": shown.labels}
    return tested.design, arrays | {"scores": scores}


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("number", [30, 200])
def test_files_of_very_bad_chips_are_taken(tmp_path: Path, seed: int, bias: bool, number: int) -> None:
    tested = bench(
        seed, digits_network(bias), array__programming_error=0.5, array__stuck_on=0.025, array__stuck_off=0.025,
        resistor__tolerance=0.14,
    )  # fmt: skip
    shown, drives = images("train", number), spread_drives(digits_network(bias), 3)
    hidden, scores = tested.both(shown.images, 1)
    arrays = {"drives": drives, "responses": tested.neurons(0, drives) + 0.01 * np.sin(np.arange(24))}
    path = npz_file(tmp_path, **arrays, hidden=hidden, labels=shown.labels, scores=scores)
    assert load_measurements(path, tested.design).rows is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "hidden volts",
            r"key 'hidden': values from .* to 0\.\d*; expected activations about from 0 to 1, .*\(is it volts",
        ),
        ("all volts", r"key 'hidden': .*\(is it volts, 0\.\d+ V per unit"),
        ("score volts", r"key 'scores': 0\.\d+ times what 'hidden' .* give; expected about 1, .*are they volts"),
        ("negated", r"key 'scores': they fall where .* rises \(correlation -0\.\d+\)"),
        ("reversed", r"key 'scores': the columns 9, 8, 7, 6, 5 and 5 more follow the classes 0, 1, 2, 3, 4 and 5 more"),
        ("two swapped", r"key 'scores': the columns 7, 2 follow the classes 2, 7; expected a column per class"),
        ("other scores", r"key 'scores': their correlation with .* is -?0\.[01]\d*; expected at least"),
        ("other labels", r"key 'labels': the readout as trained finds .* % of them in 'hidden', no more than chance"),
        ("off by one", r"key 'labels': the readout as trained finds .* counted from 0 as in training"),
        ("classes", r"key 'labels': none is 3, 4, 5, 6, 7, 8, 9; expected images of each of the network's 10 classes"),
        ("copies", r"key 'hidden': 72 rows of 24 different images; expected at least 25"),
    ],
)
def test_images_that_do_not_fit_are_refused(tmp_path: Path, change: str, message: str) -> None:
    design, arrays = labelled_files(200, array__programming_error=0.2)
    rng = np.random.default_rng(0)
    if change in ("hidden volts", "all volts"):
        arrays["hidden"] = arrays["hidden"] * design.arrays[1].row_volts[0]
    if change in ("score volts", "all volts"):
        arrays["scores"] = arrays["scores"] * design.arrays[1].volts[0]
    order = np.arange(10)
    order[[2, 7]] = order[[7, 2]]
    arrays["scores"] = {
        "negated": -arrays["scores"],
        "reversed": arrays["scores"][:, ::-1],
        "two swapped": arrays["scores"][:, order],
        "other scores": rng.permutation(arrays["scores"]),
    }.get(change, arrays["scores"])
    arrays["labels"] = {
        "other labels": rng.permutation(arrays["labels"]), "off by one": (arrays["labels"] + 1) % 10
    }.get(change, arrays["labels"])  # fmt: skip
    rows = {"classes": np.flatnonzero(arrays["labels"] < 3), "copies": np.arange(72) % 24}.get(change, np.arange(200))
    arrays |= {key: arrays[key][rows] for key in ("hidden", "labels", "scores")}
    with pytest.raises(InputError, match=message):
        load_measurements(npz_file(tmp_path, **arrays), design)


def test_repeats_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    rows = lines(*measured())
    agree = [f"3,0.0,{value}" for value in (-1.02, -0.97, -1.0)]
    assert load_measurements(csv_file(tmp_path, rows + agree), design()).layers[0].responses.shape == (8, N_HIDDEN)
    contrary = [f"3,0.0,{value}" for value in (1.0, 1.0, 1.0)]
    with pytest.raises(
        InputError, match=r"responses of neuron 3 lie up to 1\.\d off a line, .*; expected at most 0\.3"
    ):
        load_measurements(csv_file(tmp_path, rows + contrary), design())


@pytest.mark.parametrize("digits", [None, 2, 3])
def test_still_neurons_leave_the_outputs_where_they_belong(digits: int | None) -> None:
    given = digits_network()
    first = np.where(np.arange(N_HIDDEN) < 3, 0.0, given.weights[0])
    made = Design(given.with_weights((first, given.weights[1]), given.biases), technology())
    tested, shown = SimulatedBench(made, 5), images("train", 200)
    drives = spread_drives(made.network, 5)
    hidden, scores = (values if digits is None else np.round(values, digits) for values in tested.both(shown.images, 1))
    if digits is not None:  # the last digit toggles
        hidden[::5, :3] += 10.0**-digits
    found = from_measurements(
        Measurements((NeuronResponses(drives, tested.neurons(0, drives)),), LabelledRows(hidden, shown.labels, scores)),
        made,
        TrimHardware(),
    )
    assert found.trained is not None
    chip = replace(found.state, seed=5).chip(made)
    # Codes are one score's step apart; errors of the rewritten weights come on top.
    assert np.sqrt(np.mean((chip.output.bias - found.trained.readout.bias * found.trained.scale) ** 2)) < 0.05


def deep_readings() -> tuple[SimulatedBench, dict[str, np.ndarray]]:
    """Bench of a chip with two hidden layers, and what it writes."""
    tested, shown = bench(1, deep_network(), resistor__tolerance=0.14), images("train", 100)
    hidden, scores = tested.both(shown.images, 2)
    drives = [spread_drives(deep_network(), 4, layer) for layer in (0, 1)]
    return tested, {
        "drives": drives[0], "responses": tested.neurons(0, drives[0]), "drives_1": drives[1],
        "responses_1": tested.neurons(1, drives[1]), "hidden": hidden, "labels": shown.labels, "scores": scores,
    }  # fmt: skip


def test_both_layers_of_a_deep_chip_are_read(tmp_path: Path) -> None:
    tested, arrays = deep_readings()
    design = tested.design
    archive = load_measurements(npz_file(tmp_path, **arrays), design)
    rows = ["layer,neuron,drive,response"] + [
        f"{layer},{row}"
        for layer, suffix in ((0, ""), (1, "_1"))
        for row in lines(arrays[f"drives{suffix}"], arrays[f"responses{suffix}"])[1:]
    ]
    text = load_measurements(csv_file(tmp_path, rows), design)
    for one, other in zip(archive.layers, text.layers, strict=True):
        np.testing.assert_allclose(one.responses, other.responses, rtol=1e-12)
    recorded = from_measurements(archive, design, TrimHardware())
    for codes, layer in zip(recorded.state.codes.rows, tested.chip.layers, strict=True):
        q = layer.cells.dynamics.q
        np.testing.assert_allclose(
            codes.factors(TrimHardware())[0] * q[:, 3] / q[:, 1], 1.0, atol=TrimHardware().gain_step + 5e-3
        )
    assert recorded.trained is not None
    assert recorded.trained.n_images == 100
    assert recorded.state.targets[2].writes is not None
    with pytest.raises(InputError, match="no measurement of neuron 11 of hidden layer 2; expected at least 3"):
        load_measurements(csv_file(tmp_path, rows[:-4]), design)
    with pytest.raises(InputError, match="column 'layer': 2; the network has hidden layers 0 to 1"):
        load_measurements(csv_file(tmp_path, [*rows, "2,0,0.1,-1.1"]), design)
    with pytest.raises(InputError, match="line 1: missing column 'layer'"):
        load_measurements(csv_file(tmp_path, lines(arrays["drives"], arrays["responses"])), design)
    with pytest.raises(InputError, match="key 'responses_1' is missing; expected drives and responses"):
        load_measurements(npz_file(tmp_path, **{k: v for k, v in arrays.items() if k != "responses_1"}), design)
    contrary = arrays["responses_1"].copy()
    contrary[1, 5] += 2.0
    with pytest.raises(InputError, match="responses of neuron 5 of hidden layer 2 lie up to"):
        load_measurements(npz_file(tmp_path, **arrays | {"responses_1": contrary}), design)
