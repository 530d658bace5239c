"""Temporary files and folders: what killed processes left is removed, what living ones have is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from analog_fhn._support import temporary
from analog_fhn._support.temporary import locked, name_of, remove_leftovers, temporary_folder

HOLD = (
    "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
    "from analog_fhn._support.temporary import temporary_folder\n"
    "with temporary_folder('job'):\n    print('there', flush=True); sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place for temporary files, from which nothing was removed before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary, "_cleared", set())
    return tmp_path


def dead() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_is_removed_with_its_content(place: Path) -> None:
    with temporary_folder("job") as folder:
        (folder / "file").write_text("")
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not list(place.iterdir())


def test_the_folder_of_a_killed_process_is_removed_by_the_next(place: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with temporary_folder("job"):
            assert len(list(place.iterdir())) == 2  # that of a living process stays
        process.send_signal(signal.SIGKILL)
    temporary._cleared.clear()
    assert len(list(place.iterdir())) == 1
    with temporary_folder("other") as folder:
        assert list(place.iterdir()) == [folder]


def test_what_a_process_elsewhere_has_locked_stays(place: Path) -> None:
    # another container has other process ids, but the same locks
    folder = place / f"job-{dead()}-{'0' * 16}"
    folder.mkdir()
    with locked(folder):
        remove_leftovers(place, "job-")
    assert folder.exists()


def test_what_another_user_left_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place / f"job-{dead()}-{'0' * 16}"
    folder.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    remove_leftovers(place, "job-")
    assert folder.exists()


def test_other_names_and_links_stay(place: Path) -> None:
    (place / "precious").mkdir()
    (place / f"job-{dead()}-{'0' * 16}").symlink_to("precious")
    (place / "job-notes").mkdir()
    (place / f"other-{dead()}-{'0' * 16}").mkdir()
    before = sorted(place.iterdir())
    remove_leftovers(place, "job-")
    assert sorted(place.iterdir()) == before


def test_names_do_not_repeat() -> None:
    assert name_of("job-") != name_of("job-")


def test_without_locks_a_file_is_free_and_what_living_processes_have_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    for owner in (dead(), os.getpid()):
        (place / f"job-{owner}-{'0' * 16}").mkdir()
    with locked(place) as free:
        assert free
    remove_leftovers(place, "job-")
    assert [folder.name for folder in place.iterdir()] == [f"job-{os.getpid()}-{'0' * 16}"]
