"""Libraries that keep files in a home that is not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from analog_fhn._support.home import libraries_at_home

NAMES = ("MPLCONFIGDIR", "CYTHON_CACHE_DIR", "KERAS_HOME")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_without_a_home_they_have_a_folder_while_the_block_runs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    with libraries_at_home():
        folders = [Path(os.environ[name]) for name in NAMES]
        assert all(folder.is_dir() and place in folder.parents for folder in folders)
    assert not any(name in os.environ for name in NAMES)
    assert not list(place.iterdir())


def test_a_place_that_the_user_names_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    monkeypatch.setenv("KERAS_HOME", "/somewhere")
    with libraries_at_home():
        assert os.environ["KERAS_HOME"] == "/somewhere"


def test_in_a_home_nothing_is_changed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    with libraries_at_home():
        assert not any(name in os.environ for name in NAMES)
