"""The writer of output files: whole or not at all, whatever ends it."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from analog_fhn._support import temporary
from analog_fhn._support.files import (
    at_once,
    has_failed,
    new_file,
    new_table,
    together,
    write_records,
    write_set,
    write_text,
)
from analog_fhn.errors import InputError, RunError


@pytest.fixture
def shelter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where contents are kept that cannot be written in their place."""
    folder = tmp_path / "shelter"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on a full disk, with one file in it."""
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    true = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().parent == folder:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        true(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return folder


def kept(shelter: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in shelter.glob("*/*")}


def test_a_file_appears_when_its_block_ends(tmp_path: Path) -> None:
    with new_file(tmp_path / "deep" / "file") as file:
        file.write(b"content")
        assert not (tmp_path / "deep").exists()
    assert (tmp_path / "deep" / "file").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_a_block_that_ends_with_an_error_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def write() -> None:
        with new_file(tmp_path / "file") as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert (tmp_path / "file").read_text() == "old"


def test_a_kill_while_it_is_written_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("old")
    script = (
        "import os, signal, sys; from analog_fhn._support.files import write_text\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_text(sys.argv[1], 'new')"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "file"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2
    monkeypatch.setattr(temporary, "_cleared", set())
    write_text(tmp_path / "file", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file_and_keeps_the_content_elsewhere(full: Path, shelter: Path) -> None:
    with pytest.raises(
        RunError, match=r"old\.txt: cannot be written \(No space left on device\), the file that was"
    ) as error:
        write_text(full / "old.txt", "new")
    assert (full / "old.txt").read_text() == "old"
    assert [path.name for path in full.iterdir()] == ["old.txt"]
    (path,) = shelter.glob("*/old.txt")
    assert path.read_text() == "new"
    assert str(path) in str(error.value)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_where_there_is_no_room_for_temporary_files_either_the_home_keeps_the_content(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(full / "absent"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    with pytest.raises(RunError, match="its content is kept in"):
        write_text(full / "old.txt", "new")
    assert kept(tmp_path / "home") == {"old.txt": "new"}


@pytest.mark.parametrize("place", ["file/below/name", "folder", "a" * 256])
def test_a_place_where_nothing_can_be_written_is_the_users_mistake(place: str, tmp_path: Path, shelter: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / place, "new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_name_of_255_bytes_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("ä" * 127 + "a"), "new")
    assert (tmp_path / ("ä" * 127 + "a")).read_text() == "new"


def test_a_symbolic_link_is_replaced_and_its_target_left(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_text(tmp_path / "link", "new")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "link").read_text() == "new"
    assert (tmp_path / "target").read_text() == "old"


def test_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    write_text(tmp_path / "file", "new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_file_that_must_not_be_written_is_left(
    tmp_path: Path, shelter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everything
    with pytest.raises(InputError, match="Permission denied"):
        write_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"


def test_standard_output_is_written_to_and_what_is_in_it_stays(tmp_path: Path) -> None:
    write = "from analog_fhn._support.files import write_text; write_text('/dev/stdout', 'x')"
    command = [sys.executable, "-c", f"print('before', flush=True); {write}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "before\nx"
    with (tmp_path / "out").open("w") as out:
        subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\nx"
    assert Path("/dev/stdout").is_symlink()


def test_a_device_that_is_full_is_told(shelter: Path) -> None:
    with pytest.raises(RunError, match="/dev/full: cannot be written"):
        write_text("/dev/full", "new")


def test_one_file_that_fails_does_not_keep_others_from_being_written(full: Path, shelter: Path, tmp_path: Path) -> None:
    places = full / "old.txt", tmp_path / "other.txt", full / "new.txt"

    @together()
    def write() -> None:
        for k, place in enumerate(places):
            write_text(place, str(k))
        assert [has_failed(place) for place in places] == [True, False, True]

    with pytest.raises(RunError, match=r"full: old\.txt, new\.txt: cannot be written \(No space"):
        write()
    assert places[1].read_text() == "1"
    assert kept(shelter) == {"old.txt": "0", "new.txt": "2"}
    assert len(list(shelter.iterdir())) == 1


def test_a_table_that_is_written_in_the_end_is_no_failure(
    full: Path, shelter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with together():
        write_text(full / "old.txt", "1")
        monkeypatch.undo()
        write_text(full / "old.txt", "12")
    assert (full / "old.txt").read_text() == "12"


def test_an_error_of_the_block_comes_first(full: Path, shelter: Path) -> None:
    @together()
    def write() -> None:
        write_text(full / "old.txt", "1")
        raise InputError("wrong")

    with pytest.raises(InputError, match=r"^wrong; also: .*old\.txt: cannot be written"):
        write()


def test_what_is_needed_at_once_fails_at_once(full: Path, shelter: Path) -> None:
    @together()
    def write() -> None:
        with at_once():
            write_text(full / "old.txt", "1")
        pytest.fail("not reached")

    with pytest.raises(RunError, match=r"old\.txt"):
        write()


def test_a_set_is_written_whole_or_not_at_all(tmp_path: Path, shelter: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    with pytest.raises(
        InputError, match=r"b: cannot be written \(Is a directory\), and so none of the 2 files"
    ) as error:
        write_set(tmp_path, {"a": b"new", "b": b"new"})
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "shelter"]
    assert "they are kept in" in str(error.value)
    assert kept(shelter) == {"a": "new", "b": "new"}


def test_many_files_are_named_in_a_few_words(full: Path, shelter: Path) -> None:
    @together()
    def write() -> None:
        for k in range(10):
            write_text(full / str(k), "")

    with pytest.raises(RunError, match="0, 1, 2 and 7 more: cannot be written"):
        write()


@pytest.mark.parametrize("cell", ["=HYPERLINK(1)", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_defused_in_tables(cell: str, tmp_path: Path) -> None:
    with new_table(tmp_path / "t.csv") as table:
        table.writerow([cell])
    assert (tmp_path / "t.csv").read_bytes().strip(b'"\r\n')[:1] == b"'"


def test_numbers_and_signs_stay_as_they_are_in_tables(tmp_path: Path) -> None:
    with new_table(tmp_path / "t.csv") as table:
        table.writerow(["-1", "+2.5e-3", -0.5, "-", "+", "-inf", "a=b"])
    assert (tmp_path / "t.csv").read_bytes() == b"-1,+2.5e-3,-0.5,-,+,-inf,a=b\r\n"


def test_records_that_lack_a_field_have_it_empty(tmp_path: Path) -> None:
    write_records(tmp_path / "t.csv", [{"a": 1}, {"b": 2}])
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\r\n1,\r\n,2\r\n"


def test_contents_of_one_name_are_kept_beside_each_other(full: Path, shelter: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    @together()
    def write() -> None:
        write_text(full / "same.csv", "one")
        write_text(tmp_path / "file" / "same.csv", "other")
        write_text(full / "same.csv", "one, again")

    with pytest.raises(RunError):
        write()
    assert sorted(kept(shelter).values()) == ["one, again", "other"]
