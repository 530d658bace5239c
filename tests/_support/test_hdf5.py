"""HDF5 files in a process of their own: what never ends, crashes or blows up is refused in time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from analog_fhn._support import hdf5
from analog_fhn.errors import InputError


def read(path: Path) -> hdf5.Group:
    with path.open("rb") as file:
        return hdf5.read_hdf5(file, path)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.h5"
    with h5py.File(path, "w") as file:
        file["a/b"] = np.arange(6.0).reshape(2, 3)
        file["a"].attrs["weight_names"] = [b"b", b"c"]
        file["optimizer/m"] = np.ones(3)
    return path


def test_groups_numbers_and_texts(small: Path) -> None:
    root = read(small)
    assert list(root.members) == ["a"]
    group = root.members["a"]
    assert isinstance(group, hdf5.Group)
    assert (group.name, group.texts) == ("/a", {"weight_names": ["b", "c"]})
    np.testing.assert_array_equal(group.members["b"], [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])  # type: ignore[arg-type]


def test_a_parent_with_threads_can_read(small: Path) -> None:
    done = threading.Event()
    others = [threading.Thread(target=done.wait) for _ in range(4)]
    for thread in others:
        thread.start()
    try:
        assert list(read(small).members) == ["a"]
    finally:
        done.set()
        for thread in others:
            thread.join()


def test_no_file_beside_the_user_is_run(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "h5py", "numpy", "analog_fhn"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    read(small)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import time; time.sleep(60)", "made to stop its readers: not read after 1 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with status -11"),
        ("bytearray(2**33)", "ended with status 1"),
    ],
    ids=["sleep", "crash", "memory"],
)
def test_what_goes_wrong_in_the_process(body: str, said: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the library's faults, put in its place after the limits are set
    monkeypatch.setattr(hdf5, "_SECONDS", 0)
    imports, call, arguments = hdf5._START.rpartition("_serve(")
    limits = "from analog_fhn._support.hdf5 import _limit; _limit(*map(int, sys.argv[2:4]))\n"
    monkeypatch.setattr(hdf5, "_START", f"{imports}{limits}{body}\n{call}{arguments}")
    begun = time.monotonic()
    with pytest.raises(InputError, match=said):
        read(small)
    assert time.monotonic() - begun < 15.0


def test_a_file_that_keeps_the_library_looping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "loop.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["dense"]
    content = bytearray(path.read_bytes())
    # The heap of texts: 16 bytes of header, one text of 16 + 8 bytes, and the free rest, whose size becomes 0.
    size = content.index(b"GCOL") + 16 + 24 + 8
    assert int.from_bytes(content[size : size + 8], "little") > 3000
    content[size : size + 8] = bytes(8)
    path.write_bytes(content)
    monkeypatch.setattr(hdf5, "_SECONDS", 0)
    with pytest.raises(InputError, match="made to stop its readers: not read after 1 s"):
        read(path)


def test_a_group_that_holds_itself_ends(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["a/b"] = np.ones(2)
        file["a/c"] = file["a"]
    with pytest.raises(InputError, match="more than 20000 objects, or 12 levels of groups"):
        read(tmp_path / "loop.h5")
