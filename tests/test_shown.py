"""Public objects show themselves, plot themselves on anybody's axes, and give their tables to pandas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from handmade_twin import handmade

import analog_fhn as af
from analog_fhn.corner_grid import Corners, CornerYield
from analog_fhn.data import from_arrays
from analog_fhn.errors import InputError
from analog_fhn.failures import RareFailures
from analog_fhn.montecarlo.design_point import WorstCase, WorstPart
from analog_fhn.montecarlo.directions import Directions
from analog_fhn.montecarlo.importance import Probability, Search
from analog_fhn.montecarlo.regression import Regression, Term
from analog_fhn.montecarlo.trial import ShiftedTrial
from analog_fhn.reconstruct.twin import as_neuron
from analog_fhn.studies.consumption import Consumption
from analog_fhn.studies.energy import AreaParts, EnergyParts, SiliconConsumption
from analog_fhn.studies.frontier import Frontier, FrontierPoint
from analog_fhn.studies.low_pass import LowPasses, LowPassPoint
from analog_fhn.studies.quiescent import BoardConsumption
from analog_fhn.trim.repair import Repair, RepairStep

pyplot = pytest.importorskip("matplotlib.pyplot")
RNG = np.random.default_rng(2)
WEIGHTS, OUTPUT = 3.0 * RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3))
IMAGES = RNG.random((24, 5)).astype(np.float32)


def tiny_network() -> af.Network:
    """Four neurons, not trained, whose classes all occur."""
    weights = WEIGHTS - WEIGHTS.mean(axis=0), OUTPUT
    short = af.Protocol(settle=2.0, control=10.0)
    return af.Network.of_weights(weights, (None, -0.5 * OUTPUT.sum(axis=0)), protocol=short)


LABELS = tiny_network().forward(IMAGES).argmax(axis=1)  # right by definition


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Figures of pyplot are drawn without a screen, and closed behind each test."""
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


def design() -> af.Design:
    return af.Design(tiny_network(), "discrete")


@cache
def study(points: int = 2) -> af.Study:
    grid = {"array.levels": [8, 32][:points]}
    return af.sweep(design(), (IMAGES, LABELS), chips=6, specification=0.9, grid=grid, workers=1)


def corners() -> Corners:
    return Corners(study(1), (CornerYield(0, None, 280.0, 1.0, 0.9, 0.9, None, 0.5, 0.2, 0.8, 6),))


@cache
def result() -> af.Result:
    return af.classify(design().chip(1), IMAGES, table=9)


def silicon() -> SiliconConsumption:
    energies = EnergyParts(1e-9, 2e-9, 3e-9, 4e-9, 5e-9, 6e-9)
    return SiliconConsumption(energies, AreaParts(1e-8, 2e-8, 3e-8, 4e-8), 12, 4e-6, seconds=84e-6)


def worst() -> WorstCase:
    parts = WorstPart("R1", "resistor", 3.0, 0.9, 2.5, 4), WorstPart("Cx", "capacitor", 1.0, 0.1, -0.5, 0)
    return WorstCase(design(), 0.9, {}, {}, 3.2, 0.89, 0.95, 1.0, parts)


def rare() -> RareFailures:
    trials = tuple(
        ShiftedTrial(0, k, k, "done", 0.8 + 0.01 * k, projections=np.array([0.1 * k])) for k in range(12)
    )  # fmt: skip
    directions, _ = Directions.of({(1, 0): np.ones(3)}, {(1, 0): "resistor"})
    likely = Probability(1e-3, 5e-4, 2e-3, 80.0, 120, 4000)
    return RareFailures(design(), 0.85, likely, directions, Search((2.0,), 0.8, ()), worst(), trials, 5000)


def frontier() -> Frontier:
    points = [FrontierPoint(-1.0, "mean", settle, 5.0, 0.9) for settle in (1.0, 2.0)]
    return Frontier(points, 0.9, None)


def repair() -> Repair:
    steps = RepairStep("as made", 0.5, 0, 0, 0, 0.0, 0, {}), RepairStep("trim", 0.9, 7, 70, 0, 2.1, 0, {})
    return Repair(steps, 0.95)


OBJECTS: dict[str, Callable[[], Any]] = {
    "data set": lambda: from_arrays(IMAGES, LABELS),
    "network": tiny_network,
    "technology": lambda: af.Technology.load("discrete"),
    "design": design,
    "ideal chip": lambda: af.Chip.ideal(tiny_network()),
    "chip": lambda: design().chip(1),
    "findings": lambda: af.check(design()),
    "bill": lambda: af.bill(design()),
    "result": result,
    "waterfall": lambda: af.waterfall(design().chip(1), IMAGES, LABELS),
    "study": study,
    "yields": lambda: study().yield_(),
    "regression": lambda: Regression(60, 500, 0.5, (Term("opamp", 1.0, 0.5, 1.5, 0.4),), ()),
    "combined": lambda: study(1).combined_with(study(1)),
    "corners": corners,
    "worst case": worst,
    "rare failures": rare,
    "frontier": frontier,
    "low-passes": lambda: LowPasses([LowPassPoint(1.0, 1e4, 1e-9, 2.0, 0.1, 0.9, 0.1, None)] * 2, 0.9),
    "repair": repair,
    "board's consumption": lambda: BoardConsumption(0.4, 40.0, seconds=0.3),
    "chip's consumption": silicon,
    "twins": lambda: af.Twins((as_neuron(handmade(), 3.0, 1e-3),)),
}  # fmt: skip


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_shows_itself(name: str) -> None:
    shown = OBJECTS[name]()
    line, text, html = repr(shown), str(shown), shown._repr_html_()
    assert line.startswith("<")
    assert line.endswith(">")
    assert len(line) < 200
    assert "\n" not in line
    assert "array(" not in text
    element = ElementTree.fromstring(html)
    # All cells of the text are in the HTML, with the same words.
    words = re.findall(r"[\w.%]+", " ".join(element.itertext()))
    assert set(re.findall(r"[\w.%]+", text)) <= {*words, "..."}
    assert len(html) < 40_000


DRAWN = (
    "network", "design", "chip", "result", "waterfall", "corners", "worst case", "rare failures", "frontier",
    "repair", "chip's consumption", "twins",
)  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_an_object_plots_on_given_axes_or_on_new_ones_that_pyplot_shows(name: str) -> None:
    shown, labels = OBJECTS[name](), [LABELS] if name == "result" else []
    _, (other, axes) = pyplot.subplots(1, 2)
    assert shown.plot(*labels, ax=axes) is axes
    assert axes.has_data() or axes.texts
    assert not other.has_data()
    assert pyplot.get_fignums() == [1]
    alone = shown.plot(*labels)
    assert alone.get_figure().number == 2
    drawn = [len(one.lines) + len(one.images) + len(one.patches) for one in (axes, alone)]
    assert drawn[0] == drawn[1] > 0
    alone.get_figure().canvas.draw()


def test_a_study_draws_the_pictures_of_its_report() -> None:
    axes = pyplot.figure().add_subplot()
    assert study(1).plot(ax=axes) is axes
    counts = np.array([patch.get_height() for patch in axes.patches])
    assert counts.sum() == 6
    assert study(2).plot("yield-curve").get_ylabel() == "chips that reach it (%)"
    with pytest.raises(ValueError, match=r"picture of 2 panels"):
        study(2).plot(ax=axes)
    with pytest.raises(ValueError, match=r"'convergence' has two panels"):
        study(1).plot("convergence", ax=axes)
    with pytest.raises(ValueError, match=r"'sensitivity': expected one of yield-curve, histogram"):
        study(1).plot("sensitivity")


def test_a_picture_says_what_the_numbers_say() -> None:
    shown = result()
    axes = shown.plot(LABELS)
    counts = np.asarray([[int(text.get_text()) for text in axes.texts]]).sum()
    assert counts == len(LABELS)
    right = sum(int(text.get_text()) for text in axes.texts if text.get_position()[0] == text.get_position()[1])
    assert right == round(shown.accuracy(LABELS) * len(LABELS))


def test_energies_are_told_as_a_whole_with_their_parts() -> None:
    assert "21 nJ an answer" in repr(silicon())
    bars = silicon().plot().patches
    assert sum(bar.get_width() for bar in bars) == pytest.approx(100.0)
    with pytest.raises(InputError, match="not known by parts"):
        BoardConsumption(0.4, 40.0, seconds=0.3).plot()
    assert "arrays and their amplifiers not counted" in str(BoardConsumption(0.4, 40.0, seconds=0.3))
    assert issubclass(SiliconConsumption, Consumption)


def test_each_image_is_a_row() -> None:
    pandas = pytest.importorskip("pandas")
    shown = result()
    frame = shown.frame(LABELS)
    assert isinstance(frame, pandas.DataFrame)
    assert frame["class"].tolist() == shown.predictions.tolist()
    assert frame.right.mean() == shown.accuracy(LABELS)
    assert np.allclose(frame.score, shown.scores.max(axis=1))
    assert (frame.margin >= 0.0).all()
    assert "label" not in shown.frame()


@pytest.mark.parametrize(
    "name", ["bill", "waterfall", "study", "corners", "worst case", "rare failures", "frontier", "repair", "yields"]
)
def test_a_frame_has_a_row_for_each_of_the_table(name: str) -> None:
    pytest.importorskip("pandas")
    shown = OBJECTS[name]()
    rows = shown.table()
    frame = shown.frame()
    assert len(frame) == len(rows) > 0
    assert list(frame.columns) == list(rows[0])
