"""Option groups: a dataclass is one parameter of a command and one option a field on the command line."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from analog_fhn.cli.options import options_set, takes_option_groups, values_of, values_set


@dataclass(frozen=True)
class Times:
    control: Annotated[float, typer.Option("--control", min=0.0, help="Window.")]
    settle: Annotated[float | None, typer.Option("-s", "--settle", help="Transient.")] = None
    raw: Annotated[bool, typer.Option("--raw", help="No recentring.")] = False


@dataclass(frozen=True)
class Factory:
    many: Annotated[list[int], typer.Option("--many")] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    times: Times
    name: Annotated[str, typer.Option("--name")] = "run"


received: list[tuple[str, Times, int]] = []


@takes_option_groups
def command(
    network: Annotated[str, typer.Argument(help="Network.")],
    *,
    times: Times,
    images: Annotated[int, typer.Option("--images", help="Number.")] = 5,
) -> None:
    """Do something."""
    received.append((network, times, images))


def invoke(*arguments: str) -> tuple[int, str]:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("do")(command)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_command_receives_its_group() -> None:
    received.clear()
    assert invoke("net.npz", "--control", "3", "-s", "2", "--raw", "--images", "7")[0] == 0
    assert invoke("net.npz", "--control", "3")[0] == 0
    assert received == [("net.npz", Times(3.0, 2.0, True), 7), ("net.npz", Times(3.0), 5)]


def test_a_field_without_default_is_a_required_option() -> None:
    status, output = invoke("net.npz")
    assert status == 2
    assert "Missing option '--control'" in output


def test_a_field_keeps_the_limits_of_its_option() -> None:
    status, output = invoke("net.npz", "--control", "-1")
    assert status == 2
    assert "Invalid value for '--control'" in output


def test_the_help_lists_options_where_the_group_stands() -> None:
    status, output = invoke("--help")
    assert status == 0
    assert "Do something." in output
    places = [output.index(option) for option in ("--control", "--settle", "--raw", "--images")]
    assert places == sorted(places)


def test_the_signature_names_options_alone() -> None:
    assert list(inspect.signature(command).parameters) == ["network", "control", "settle", "raw", "images"]


def test_options_set_are_those_that_differ_from_their_defaults() -> None:
    assert options_set(Times(3.0)) == {"--control": 3.0}
    assert options_set(Times(3.0, 2.0, True)) == {"--control": 3.0, "--settle": 2.0, "--raw": True}


def test_values_of_are_those_of_nested_groups_too() -> None:
    assert values_of(Times(3.0, raw=True)) == {"control": 3.0, "settle": None, "raw": True}
    assert values_of(Run(Times(3.0), "one")) == {"control": 3.0, "settle": None, "raw": False, "name": "one"}


def test_values_set_are_keyword_arguments() -> None:
    assert values_set(Times(3.0), "settle", "control") == {"control": 3.0}
    assert values_set(Times(3.0, 0.0), "settle") == {"settle": 0.0}


def test_a_group_may_be_in_a_group() -> None:
    runs: list[Run] = []

    @takes_option_groups
    def nested(*, run: Run) -> None:
        runs.append(run)

    nested(control=3.0, name="other")
    assert runs == [Run(Times(3.0), "other")]
    assert list(inspect.signature(nested).parameters) == ["control", "settle", "raw", "name"]
    assert options_set(runs[0]) == {"--control": 3.0, "--name": "other"}


def test_two_options_of_one_name_are_a_mistake_of_the_programmer() -> None:
    def twice(*, times: Times, settle: Annotated[float, typer.Option("--settle")] = 0.0) -> None: ...

    with pytest.raises(ValueError, match="twice: several parameters have one name, in control, settle, raw, settle"):
        takes_option_groups(twice)


def test_a_default_that_is_made_anew_is_a_mistake_of_the_programmer() -> None:
    def listed(*, factory: Factory) -> None: ...

    with pytest.raises(ValueError, match=r"Factory\.many: the default of an option is a plain value"):
        takes_option_groups(listed)
