from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from analog_fhn.errors import SimulationError
from analog_fhn.ngspice.batch import read_columns, run_tables, table_lines

DIVIDER = """divider
Vin in 0 3
R1 in out 1e3
R2 out 0 2e3
.control
{analysis}
{write}
quit
.endc
.end
"""

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="the program ngspice is not installed")


def divider(analysis: str, *vectors: str) -> str:
    return DIVIDER.format(analysis=analysis, write="\n".join(table_lines("answer", *vectors)))


@needs_ngspice
def test_an_operating_point_gives_one_number_for_each_vector() -> None:
    columns = run_tables(divider("op", "v(out)", "i(Vin)"), 60.0)["answer"]
    assert columns["v(out)"] == pytest.approx([2.0], rel=1e-9)
    assert columns["i(vin)"] == pytest.approx([-1e-3], rel=1e-9)


@needs_ngspice
def test_a_sweep_gives_a_number_for_each_point() -> None:
    columns = run_tables(divider("dc Vin -1 1 0.25", "v(out)"), 60.0)["answer"]
    swept, out = columns.values()
    np.testing.assert_allclose(swept, np.linspace(-1.0, 1.0, 9), atol=1e-12)
    np.testing.assert_allclose(out, 2.0 / 3.0 * swept, atol=1e-9)


@needs_ngspice
def test_a_deck_may_write_several_tables() -> None:
    first, second = table_lines("at_zero", "v(out)"), table_lines("swept", "v(in)", "v(out)")
    deck = DIVIDER.format(analysis="op", write="\n".join([*first, "dc Vin 0 1 0.5", *second]))
    tables = run_tables(deck, 60.0)
    assert list(tables) == ["at_zero", "swept"]
    assert tables["at_zero"]["v(out)"] == pytest.approx([2.0], rel=1e-9)
    assert tables["swept"]["v(out)"] == pytest.approx([0.0, 1 / 3, 2 / 3], abs=1e-9)


@needs_ngspice
@pytest.mark.parametrize(
    ("analysis", "vectors", "message"),
    [
        ("dc Vin -1 1 0.25", ("v(nosuch)",), "no such vector"),
        ("op", (), "wrote no table"),
        ("ac dec 5 1 10", ("v(out)",), "stands twice"),
        ("op\nquit 3", ("v(out)",), "status 3"),
    ],
)
def test_a_run_without_usable_columns_raises(analysis: str, vectors: tuple[str, ...], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        run_tables(divider(analysis, *vectors), 60.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "wrote no table of numbers"),
        ("", "wrote no table of numbers"),
        (" v-sweep v(out)\n", "2 names over a table of shape"),
        (" v-sweep v(out)\n 0 1 2\n", "2 names over a table of shape"),
        (" v-sweep v(out)\n 0 1\n 1\n", "wrote no table of numbers"),
        (" v-sweep v(out)\n 0 one\n", "wrote no table of numbers"),
        (" v-sweep v(out)\n 0 1\n 1 nan\n", r"v\(out\) is not finite at every point"),
        (" v-sweep v(out)\n 0 1\n 1 -inf\n", r"v\(out\) is not finite at every point"),
        (" frequency v(out) v(out)\n 0 1 2\n", "stands twice"),
    ],
)
def test_columns_that_are_no_finite_table_are_refused(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "columns.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SimulationError, match=message):
        read_columns(path)


def test_names_are_in_lower_case(tmp_path: Path) -> None:
    path = tmp_path / "columns.txt"
    path.write_text(" v-sweep  V(Out) \n 0.0  1.0 \n 1.0  3.0 \n\n")
    columns = read_columns(path)
    assert list(columns) == ["v-sweep", "v(out)"]
    np.testing.assert_array_equal(columns["v(out)"], [1.0, 3.0])
