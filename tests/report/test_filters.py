"""Numbers and lists as a report writes them."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from analog_fhn.report.filters import changed_classes, listed, one_line, points, power, signed, value_range


@pytest.mark.parametrize(
    ("value", "as_change", "as_loss"),
    [
        (-0.0004, "−0.04", "−0.040"),
        (0.00031, "+0.03", "0.031"),
        (-0.000004, "0.00", "0.000"),
        (0.0, "0.00", "0.000"),
    ],
)
def test_points(value: float, as_change: str, as_loss: str) -> None:
    assert (signed(value), points(value)) == (as_change, as_loss)


def test_text_on_one_line_is_escaped_and_html_is_not_escaped_again() -> None:
    assert one_line("a\n <b>") == "a &lt;b&gt;"
    assert one_line(Markup("\na &lt;b&gt;\n")) == "a &lt;b&gt;"


def test_range_that_reads_the_same_is_one_number() -> None:
    assert value_range([0.97, 0.970001]) == "97.00\N{NO-BREAK SPACE}%"
    assert value_range([0.97, 0.99, 0.98]) == "97.00 to 99.00\N{NO-BREAK SPACE}%"


def test_names_are_listed() -> None:
    assert [listed("a"), listed("ab"), listed("abc")] == ["a", "a and b", "a, b and c"]


def test_powers_of_ten() -> None:
    assert [power(value) for value in (0.0, 6e-5, 1.25e-12, 20.0)] == ["0", "6.0e-5", "1.2e-12", "2.0e1"]


def test_classes_that_changed() -> None:
    present = {"resistor": "1 %", "opamp": "TL082"}
    assert changed_classes({"resistor": "5 %", "opamp": "TL082"}, present) == "resistor: 5 %"
    assert changed_classes(present, present) == "none"
