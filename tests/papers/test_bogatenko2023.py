"""The paper's figures and table: what is written, and the helpers that choose the lost values."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.data import Dataset, load
from analog_fhn.errors import InputError
from analog_fhn.inference import classify_all
from analog_fhn.network import Network
from analog_fhn.neuron import FHN
from analog_fhn.papers import bogatenko2023 as paper

PNG = b"\x89PNG\r\n\x1a\n"


@cache
def network() -> Network:
    """Random hidden neurons with an output layer by least squares: right on most digits, without training."""
    train = load("digits", "train")
    w0 = np.random.default_rng(0).normal(size=(64, 24)) * 0.5
    bias = -train.images.mean(axis=0).astype(np.float64) @ w0
    hidden = 1 / (1 + np.exp(-(train.images @ w0 + bias)))
    w1 = np.linalg.lstsq(hidden, np.eye(10)[train.labels], rcond=None)[0]
    return Network.of_weights((w0, w1), (bias, np.zeros(10))).with_options(settle=4.0, control=20.0)


def images(split: str = "test", n: int = 60) -> Dataset:
    return load("digits", split).head(n)  # type: ignore[arg-type]


def read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    with path.open(newline="") as file:
        reader = csv.DictReader(line for line in file if not line.startswith("#"))
        rows = list(reader)
    assert reader.fieldnames is not None
    return list(reader.fieldnames), rows


def test_network_of_these_tests_is_usable() -> None:
    data = images()
    assert np.mean(network().forward(data.images).argmax(axis=1) == data.labels) > 0.7


# --- figure 2 -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figure2(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("figure2")
    table, picture = paper.figure2(folder, FHN(a=1.05), drives=(-2.3, -2.0, -1.0, -0.3, 0.3))
    assert picture.read_bytes().startswith(PNG)
    columns, rows = read(table)
    assert columns == ["drive", "rest_x", "rest_y", "regime", "t", "x", "y"]
    return rows


def test_figure2_regimes(figure2: list[dict[str, str]]) -> None:
    # |a + I| < 1 oscillates; a = 1.05
    found = {float(r["drive"]) for r in figure2 if r["regime"] == "oscillating"}
    assert found == {-2.0, -1.0, -0.3}
    assert {float(r["drive"]) for r in figure2 if r["regime"] == "excitable"} == {-2.3, 0.3}


def test_figure2_rest_points_move_with_the_drive(figure2: list[dict[str, str]]) -> None:
    for row in figure2:
        x = -(1.05 + float(row["drive"]))
        assert (float(row["rest_x"]), float(row["rest_y"])) == pytest.approx((x, x - x**3 / 3), rel=1e-12)


def test_figure2_trajectories_obey_the_fast_equation(figure2: list[dict[str, str]]) -> None:
    # y is summed from dy/dt; on the slow branches it must come out on the cubic: eps dx/dt = x - x^3/3 - y.
    for drive in {r["drive"] for r in figure2}:
        x, y = (np.array([float(r[k]) for r in figure2 if r["drive"] == drive]) for k in ("x", "y"))
        t = np.array([float(r["t"]) for r in figure2 if r["drive"] == drive])
        slow = np.abs(np.gradient(x, t)) < 1.0
        assert np.count_nonzero(slow) > 200
        assert np.abs(x - x**3 / 3 - y)[slow].max() < 0.01 * 1.0 + 0.01  # eps |dx/dt|, and the sampling of y


# --- figure 3 -------------------------------------------------------------------------------------------------


def test_figure3_has_the_answer_over_time(tmp_path: Path) -> None:
    table, picture = paper.figure3(tmp_path, network(), images())
    assert picture.read_bytes().startswith(PNG)
    columns, rows = read(table)
    assert columns == ["t", *(f"digit_{d}_{name}" for name in ("raw_x", "recentred") for d in (0, 3, 5))]
    np.testing.assert_allclose([float(r["t"]) for r in rows], network().protocol.sample_times, rtol=1e-9)
    assert {int(r["digit_3_recentred"]) for r in rows} <= set(range(10))


def test_figure3_recentred_answers_are_those_of_the_plain_network(tmp_path: Path) -> None:
    # At gamma = -4 all but a few neurons rest, so that the answer stands still.
    data, resting = images(), network().with_options(gamma=-4.0, settle=60.0)
    scores = resting.forward(data.images)
    first = [int(np.flatnonzero(data.labels == k)[0]) for k in range(10)]
    two = np.sort(scores[first], axis=1)[:, -2:]
    digits = [k for k in range(10) if two[k, 1] - two[k, 0] > 0.3]
    assert len(digits) > 2
    _, rows = read(paper.figure3(tmp_path, resting, data, digits)[0])
    for digit in digits:
        counts = np.bincount([int(r[f"digit_{digit}_recentred"]) for r in rows], minlength=10)
        assert int(np.argmax(counts)) == int(scores[first[digit]].argmax()), digit


def test_figure3_needs_an_image_of_the_class(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="digits: no image of class 11"):
        paper.figure3(tmp_path, network(), images(), digits=(11,))


# --- figure 4 and table 1 -------------------------------------------------------------------------------------

GAMMAS = (1.0, -0.5, -2.0)


@pytest.fixture(scope="module")
def figure4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figure4")
    table, *pictures = paper.figure4(folder, network(), images(), GAMMAS)
    assert [p.name for p in (table, *pictures)] == ["figure4.csv", "figure4.png", "figure4_digits.png"]
    assert all(p.read_bytes().startswith(PNG) for p in pictures)
    return table


def test_figure4_columns(figure4: Path) -> None:
    columns, rows = read(figure4)
    digits = [f"digit_{k}" for k in range(10)]
    assert columns == ["gamma", "readout", "recentred", "accuracy", *digits, "unsettled"]
    assert [float(r["gamma"]) for r in rows] == [g for g in GAMMAS for _ in range(4)]
    assert {(r["readout"], r["recentred"]) for r in rows} == {(k, c) for k in ("vote", "mean") for c in "01"}


def test_figure4_accuracy_is_the_weighted_mean_of_its_digits(figure4: Path) -> None:
    counts = np.bincount(images().labels, minlength=10)
    for row in read(figure4)[1]:
        digits = np.array([float(row[f"digit_{k}"]) for k in range(10)])
        assert float(row["accuracy"]) == pytest.approx(digits @ counts / counts.sum(), abs=2e-6)


def test_figure4_repair_brings_the_network_back(figure4: Path) -> None:
    # Reference 1, "the repair": recentred it is the plain network again for gamma < 0; gamma > 0 inverts the response.
    data = images()
    plain = np.mean(network().forward(data.images).argmax(axis=1) == data.labels)
    found = {(float(r["gamma"]), r["readout"], r["recentred"]): float(r["accuracy"]) for r in read(figure4)[1]}
    assert found[-2.0, "mean", "1"] > plain - 0.1  # 20 T and 60 images
    assert found[1.0, "vote", "0"] < 0.2


def test_figure4_keeps_what_it_has_when_interrupted(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paper.figure4(tmp_path, network(), images(n=10), (-0.5, -1.0), progress=stop)
    assert len(read(tmp_path / "figure4.csv")[1]) == 4


def test_figure4_continues_where_it_stopped(tmp_path: Path) -> None:
    calls: list[int] = []
    data = images(n=10)
    paper.figure4(tmp_path, network(), data, (-0.5,))
    first = (tmp_path / "figure4.csv").read_text().splitlines()
    paper.figure4(tmp_path, network(), data, (-0.5, -1.0), progress=lambda done, _total: calls.append(done))
    assert (tmp_path / "figure4.csv").read_text().splitlines()[: len(first)] == first
    assert min(calls) > 10  # the first gamma was not computed again


@pytest.mark.parametrize("change", ["network", "images", "stages"])
def test_figure4_begins_anew_with_other_settings(change: str, tmp_path: Path) -> None:
    paper.figure4(tmp_path, network(), images(n=10), (-0.5,))
    before = (tmp_path / "figure4.csv").read_text()
    one = network()
    tanh = Network.of_weights(one.weights, one.biases, "tanh", protocol=one.protocol)
    others = {"network": network().with_options(control=10.0), "stages": tanh}
    paper.figure4(tmp_path, others.get(change, network()), images(n=12 if change == "images" else 10), (-0.5,))
    assert (tmp_path / "figure4.csv").read_text().splitlines()[0] != before.splitlines()[0]


def test_figure4_is_read_back_as_the_papers_curve(figure4: Path) -> None:
    gammas, accuracies = paper.read_curve(figure4)
    rows = [r for r in read(figure4)[1] if (r["readout"], r["recentred"]) == ("vote", "0")]
    assert (gammas, accuracies) == (list(GAMMAS), [float(r["accuracy"]) for r in rows])


@pytest.mark.parametrize("text", [None, "gamma,accuracy\n1,2\n", "gamma,readout,recentred,accuracy\nx,vote,0,1\n"])
def test_other_files_are_no_curve(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "figure4.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=r"figure4\.csv: cannot be read as the output of 'reproduce figure4'"):
        paper.read_curve(path)


def test_curve_without_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "figure4.csv"
    path.write_text("gamma,readout,recentred,accuracy\n-1,mean,1,0.9\n")
    with pytest.raises(InputError):
        paper.crossing(*paper.read_curve(path), 0.7)


def test_crossing_is_interpolated_in_the_logarithm() -> None:
    # half way between 0.5 and 0.9 in accuracy is half way between 1 and 4 in log gamma: 2
    assert paper.crossing([1.0, -0.1, -1.0, -4.0, -10.0], [0.0, 0.1, 0.5, 0.9, 0.95], 0.7) == pytest.approx(-2.0)


def test_crossing_does_not_depend_on_the_order() -> None:
    assert paper.crossing([-4.0, -10.0, -0.1, -1.0], [0.9, 0.95, 0.1, 0.5], 0.7) == pytest.approx(-2.0)


def test_first_crossing_is_taken() -> None:
    assert paper.crossing([-1, -2, -4, -8], [0.2, 0.8, 0.4, 0.8], 0.8) == pytest.approx(-2.0)


@pytest.mark.parametrize("level", [0.05, 0.99])
def test_curve_that_does_not_cross_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="does not cross"):
        paper.crossing([-0.1, -1.0, -4.0], [0.1, 0.5, 0.9], level)


def test_saturation_is_where_the_last_value_is_reached() -> None:
    gammas = [2.0, -0.5, -1.0, -2.0, -4.0, -10.0, -20.0]
    assert paper.saturation(gammas, [0.0, 0.2, 0.5, 0.78, 0.819, 0.821, 0.82]) == -4.0


def test_saturation_of_a_rising_curve_is_its_end() -> None:
    assert paper.saturation([-1.0, -2.0, -4.0], [0.2, 0.4, 0.6]) == -4.0


def test_saturation_passes_over_no_dip() -> None:
    assert paper.saturation([-1.0, -2.0, -4.0, -8.0], [0.8, 0.8, 0.7, 0.8]) == -8.0


def test_published_table_is_the_papers() -> None:
    # Reference 1, table 1, read from the paper
    table = paper.published_table1()
    assert list(table) == [f"col{k}_{split}" for k in (1, 2, 3) for split in ("train", "test")]
    assert {len(values) for values in table.values()} == {11}
    assert (table["col1_train"][1], table["col2_test"][8], table["col3_test"][9]) == (1.4, 99.0, 1.98)
    assert [v[10] for v in table.values()] == [73.4, 73.3, 83.0, 82.9, 3.4, 3.6]


@pytest.mark.parametrize(
    ("column", "average"), [("col1_train", 73.4), ("col1_test", 73.3), ("col3_train", 3.4), ("col3_test", 3.6)]
)
def test_published_averages_are_those_of_their_rows(column: str, average: float) -> None:
    # MNIST's classes differ by 10 % in size, so the plain mean of ten rows may be off by a few tenths.
    assert np.mean(paper.published_table1()[column][:10]) == pytest.approx(average, abs=0.35)


@pytest.mark.parametrize("column", ["col2_train", "col2_test"])
def test_second_columns_average_is_not_that_of_its_rows(column: str) -> None:
    # Reference 1 notes it: column 2's rows average 81.9, not 83.0.
    values = paper.published_table1()[column]
    assert np.mean(values[:10]) == pytest.approx(81.9, abs=0.05)
    assert values[10] - np.mean(values[:10]) > 0.9


def test_table1_stands_beside_the_published_one(tmp_path: Path) -> None:
    curve = ([-0.5, -1.0, -2.0, -4.0], [0.3, 0.6, 0.9, 0.9])
    with np.errstate(invalid="ignore"):  # see the test below
        (table, picture), agreement = paper.table1(tmp_path, network(), images("train", 50), images(n=50), curve)
    assert picture.read_bytes().startswith(PNG)
    keys = [f"col{k}_{split}" for k in (1, 2, 3) for split in ("test", "train")]
    columns, rows = read(table)
    assert columns == ["digit", *(f"{key}_{who}" for key in keys for who in ("paper", "ours"))]
    assert [r["digit"] for r in rows] == [*map(str, range(10)), "average"]
    assert [float(r["col1_test_paper"]) for r in rows] == paper.published_table1()["col1_test"]
    crossing = paper.crossing(*curve, 0.733)
    assert [agreement[k]["gamma"] for k in keys] == [crossing, crossing, -2.0, -2.0, 1.0, 1.0]
    for key in keys:
        ours, theirs = (np.array([float(r[f"{key}_{who}"]) for r in rows[:10]]) for who in ("ours", "paper"))
        rms = np.sqrt(np.mean((ours - theirs) ** 2))
        assert agreement[key]["rms_difference"] == pytest.approx(rms, abs=0.01)


def never_right(split: str) -> Dataset:
    """Images whose labels are what the network does not answer at gamma = +1."""
    data = images(split, 50)
    answers = classify_all(network().with_options(gamma=1.0), data.images, [("vote", False)])[0].predictions
    return replace(data, labels=((answers + 1) % 10).astype(np.int64))


def test_table1_without_spread_has_no_correlation(tmp_path: Path) -> None:
    # Ten equal zeros, as a good network may have at gamma = +1, have no correlation with anything; a NaN could not be
    # written as JSON.
    curve = ([-0.5, -1.0, -2.0, -4.0], [0.3, 0.6, 0.9, 0.9])
    _, agreement = paper.table1(tmp_path, network(), never_right("train"), never_right("test"), curve)
    assert {agreement[f"col3_{split}"]["accuracy"] for split in ("train", "test")} == {0.0}
    assert {agreement[f"col3_{split}"]["correlation"] for split in ("train", "test")} == {None}


def test_tables_are_of_ten_digits(tmp_path: Path) -> None:
    few = Network.of_weights((np.ones((64, 3)), np.ones((3, 4))))
    curve = ([-0.5, -1.0, -2.0, -4.0], [0.3, 0.6, 0.9, 0.9])
    with pytest.raises(InputError, match=r"table 1 has the ten digits .* 4 classes, expected 10"):
        paper.table1(tmp_path, few, images(n=10), images(n=10), curve)
    with pytest.raises(InputError, match=r"table 2 has the ten digits .* 4 classes, expected 10"):
        paper.table2(tmp_path, few, {"test_1000": images(n=10)}, "title")


# --- section 4: figure 6 and table 2 ----------------------------------------------------------------------------


def test_published_table2() -> None:
    # Reference 1, table 2, read from the paper; its averages are those of its rows, digit 8 and all.
    table = paper.published_table2()
    assert list(table) == ["train_10000", "test_1000", "train_60000", "test_10000"]
    assert [v[8] for v in table.values()] == [0.1, 0.0, 0.1, 0.1]
    for values, average in zip(table.values(), (82.2, 79.3, 79.7, 79.9), strict=True):
        assert values[10] == average
        assert np.mean(values[:10]) == pytest.approx(average, abs=1.0)


def test_truncated_sets_have_equal_counts_and_keep_train_and_test_apart() -> None:
    train, test = load("digits", "train"), load("digits", "test")
    some, few = paper.truncated(train, test, 400, seed=1)
    assert np.bincount(some.labels).tolist() == [40] * 10
    assert np.bincount(few.labels).tolist() == [4] * 10
    assert {i.tobytes() for i in some.images} <= {i.tobytes() for i in train.images}
    assert {i.tobytes() for i in few.images} <= {i.tobytes() for i in test.images}


@pytest.mark.parametrize("n", [0, 50, 150])
def test_truncated_sets_need_equal_shares(n: int) -> None:
    with pytest.raises(InputError, match="expected a multiple of 100"):
        paper.truncated(images("train"), images(), n, seed=0)


def test_figure6_writes_each_epoch(tmp_path: Path) -> None:
    history = {"loss": [2.0, 1.5], "accuracy": [0.3, 0.5], "val_loss": [1.8, 1.4], "val_accuracy": [0.35, 0.55]}
    table, picture = paper.figure6(tmp_path, history, "title")
    assert picture.read_bytes().startswith(PNG)
    columns, rows = read(table)
    assert columns == ["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert [[float(v) for v in row.values()] for row in rows] == [[1, 2.0, 0.3, 1.8, 0.35], [2, 1.5, 0.5, 1.4, 0.55]]


def test_table2_stands_beside_the_published_one(tmp_path: Path) -> None:
    plain = network()
    staged = Network.of_weights(
        plain.weights, plain.biases, behind="sigmoid", protocol=plain.protocol, readout="vote", recentre=False
    )
    sets = {"train_10000": images("train", 40), "test_1000": images(n=30)}
    calls: list[tuple[int, int]] = []
    (table, picture), averages = paper.table2(tmp_path, staged, sets, "title", lambda *done: calls.append(done))
    assert picture.read_bytes().startswith(PNG)
    columns, rows = read(table)
    assert columns == ["digit", "train_10000_paper", "train_40_ours", "test_1000_paper", "test_30_ours"]
    assert [r["digit"] for r in rows] == [*map(str, range(10)), "average"]
    assert [float(r["test_1000_paper"]) for r in rows] == paper.published_table2()["test_1000"]
    right = classify_all(staged, images(n=30).images, [("vote", False)])[0].predictions == images(n=30).labels
    assert float(rows[10]["test_30_ours"]) == pytest.approx(100 * right.mean(), abs=0.006)
    assert float(rows[3]["test_30_ours"]) == pytest.approx(100 * right[images(n=30).labels == 3].mean(), abs=0.006)
    assert averages["test_1000"] == {"accuracy": 100 * right.mean(), "published": 79.3, "n_images": 30}
    assert calls[-1] == (70, 70)
