"""Limits of packed files: no more is unpacked than is allowed, whatever the file holds."""

from __future__ import annotations

import gzip
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from analog_fhn._support.limits import open_archive, unpack_gzip
from analog_fhn.errors import InputError

HERE = Path("images.gz")


def test_a_gzip_file_of_several_members_is_their_contents() -> None:
    assert unpack_gzip(gzip.compress(b"one") + gzip.compress(b"two"), HERE, 6) == b"onetwo"


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory() -> None:
    raw = gzip.compress(bytes(2**26))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"images\.gz: unpacks to more than 1 MiB"):
        unpack_gzip(raw, HERE, 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


@pytest.mark.parametrize("keep", [3, 15, -1])
def test_a_cut_gzip_file_is_called_damaged(keep: int) -> None:
    with pytest.raises(InputError, match=r"images\.gz: damaged gzip file"):
        unpack_gzip(gzip.compress(b"content")[:keep], HERE, 100)


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught, open_archive(path):
        pass
    return str(caught.value)


def test_an_archive_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "net.npz", {"w.npy": bytes(2**21)})
    monkeypatch.setattr("analog_fhn._support.limits.LIMIT", 2**20)
    assert refusal(path) == f"{path}: unpacks to 2 MiB; expected at most 1 MiB"


def test_an_archive_that_is_no_larger_than_its_file_may_be_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "net.npz", {"w.npy": bytes(2**21)}, zipfile.ZIP_STORED)
    monkeypatch.setattr("analog_fhn._support.limits.LIMIT", 2**20)
    with open_archive(path) as file:
        assert file.namelist() == ["w.npy"]


def test_an_archive_of_too_many_members(tmp_path: Path) -> None:
    path = archive(tmp_path / "net.npz", {f"{k}.npy": b"" for k in range(10_001)})
    assert "10001 members; expected at most 10000" in refusal(path)


def test_a_long_list_of_members_is_not_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "net.npz", {f"{k}{'x' * 30_000}": b"" for k in range(200)})
    assert "its list of members is 6 MiB long" in refusal(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.npz", "w") as file:
        file.writestr("w.npy", b"one")
        file.writestr("w.npy", b"two")
    assert "two of its members have one name" in refusal(tmp_path / "net.npz")
