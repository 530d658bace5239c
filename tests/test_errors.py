"""What a user reads of a mistake: short, and without anything that a terminal would obey."""

from __future__ import annotations

import pickle

import pytest

from analog_fhn.errors import InputError, MissingProgramError, RunError, SimulationError, brief, printable

KINDS = (InputError, MissingProgramError, RunError, SimulationError)


def test_ordinary_messages_stay_as_they_are() -> None:
    message = "net.npz: gamma = 0: expected a number other than 0 (µ, Ω, ≤)\nsecond line"
    assert brief(message) == message


@pytest.mark.parametrize(
    ("character", "escaped"),
    [("\x1b", "\\x1b"), ("\0", "\\x00"), ("\r", "\\r"), ("\t", "\\t"), ("\x9b", "\\x9b"), ("\ud800", "\\ud800"),
     ("\u202e", "\\u202e")],
)  # fmt: skip
def test_what_a_terminal_would_obey_is_escaped(character: str, escaped: str) -> None:
    assert printable(f"a{character}[31mb") == f"a{escaped}[31mb"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", ["x" * 7_000_000, "line\n" * 100_000, "\x1b" * 10_000])
def test_long_messages_keep_their_beginning_and_end(kind: type[Exception], content: str) -> None:
    told = str(kind(f"file.yaml: {content}: expected less"))
    assert told.startswith("file.yaml: ")
    assert told.endswith(": expected less")
    assert "left out" in told
    assert len(told.splitlines()) <= 20
    assert len(told) <= 2000


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_passes_between_processes_unchanged(kind: type[Exception]) -> None:
    error = kind("x" * 10_000)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
