from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from analog_fhn._support import estimate
from analog_fhn._support.estimate import Work
from analog_fhn.cli import costs
from analog_fhn.errors import InputError

TOTAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_more_memory_than_the_machine_has_is_beyond_it() -> None:
    said = Work("table: 99999999", memory=TOTAL).beyond()
    assert said is not None
    assert said.startswith(f"table: 99999999: needs about {estimate.size(TOTAL)} of memory; ")


def test_more_disk_than_is_free_is_beyond_it(tmp_path: Path) -> None:
    said = Work("chips: 9", disk=1e30, folder=tmp_path / "run").beyond()
    assert said is not None
    assert said.startswith("chips: 9: needs about 1e+12 EB of disk; ")
    assert said.endswith(f" are free in {tmp_path / 'run'}")


def test_more_than_a_year_is_beyond_anyone() -> None:
    assert Work("control: 1e18", seconds=3e9).beyond() == "control: 1e18: takes about 95 years"


@pytest.mark.parametrize("name", ["seconds", "memory", "disk"])
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_size_that_is_no_number_is_beyond_it(name: str, value: float) -> None:
    assert Work("x", **{name: value}).beyond() is not None


def test_small_work_is_done_without_a_word() -> None:
    work = Work("images: 100", seconds=10.0, memory=1e6, disk=1e6)
    assert (work.beyond(), work.lasting()) == (None, None)


def test_work_of_hours_is_announced() -> None:
    assert Work("chips: 9", seconds=3 * 3600.0).lasting() == "chips: 9: takes about 3 hours"


def test_products_of_any_size() -> None:
    assert estimate.product(2, 3.0, 7) == 42.0
    assert estimate.product(10**400, 1) == math.inf
    assert estimate.product(1e200, 1e200) == math.inf


def test_the_memory_of_a_process_is_not_above_its_own_limit() -> None:
    limit = 2**30
    script = (
        f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))\n"
        "from analog_fhn._support.estimate import available_memory; print(available_memory())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 0.5 * limit < float(done.stdout) < limit


def test_the_smallest_of_nested_control_groups_counts(tmp_path: Path) -> None:
    outer, inner = tmp_path / "a", tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (inner / "memory.current").write_text("5\n")
    (outer / "memory.max").write_text("1000\n")
    (outer / "memory.current").write_text("400\n")
    (outer / "memory.stat").write_text("anon 1\ninactive_file 100\n")
    assert list(estimate.of_control_groups("0::/a/b\n", tmp_path)) == [700.0]


def test_control_groups_of_the_first_kind(tmp_path: Path) -> None:
    group = tmp_path / "memory" / "a"
    group.mkdir(parents=True)
    (group / "memory.limit_in_bytes").write_text("1000\n")
    (group / "memory.usage_in_bytes").write_text("400\n")
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("9223372036854771712\n")  # there is no limit
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("400\n")
    assert list(estimate.of_control_groups("4:memory:/a\n3:cpu:/\n", tmp_path)) == [600.0]


def test_the_disk_of_a_folder_that_is_not_there_is_that_of_its_parent(tmp_path: Path) -> None:
    there, missing = estimate.free_disk(tmp_path), estimate.free_disk(tmp_path / "a" / "b")
    assert there is not None
    assert missing == pytest.approx(there, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (90, "90 seconds"),
        (1500, "25 minutes"),
        (9000, "2.5 hours"),
        (8.64e5, "10 days"),
        (1e9, "32 years"),
        (3.5e9, "110 years"),
    ],
)
def test_durations_as_people_read_them(seconds: float, text: str) -> None:
    assert estimate.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(8e4, "80 kB"), (8e21, "8e+03 EB"), (2.97e8, "297 MB"), (4e9, "4 GB"), (8e15, "8 PB")]
)
def test_sizes_as_people_read_them(number: float, text: str) -> None:
    assert estimate.size(number) == text


def test_the_command_line_refuses_what_is_beyond_the_machine() -> None:
    with pytest.raises(InputError, match=r"^--table 9: needs about .*; expected less, or --yes to insist$"):
        costs.check_work(Work("--table 9", memory=TOTAL), yes=False)


def test_who_insists_is_warned(capsys: pytest.CaptureFixture[str]) -> None:
    costs.check_work(Work("--table 9", memory=TOTAL), yes=True)
    assert capsys.readouterr().err.startswith("analog-fhn: warning: --table 9: needs about ")
