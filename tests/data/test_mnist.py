"""MNIST's files, in a folder and from a mirror: what is read, and what is said of what is wrong."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from dataset_readers import refusal

from analog_fhn.data import idx, load, mnist

PIXELS = [[0, 1, 2, 3, 4, 5], [250, 251, 252, 253, 254, 255], [7, 0, 255, 0, 128, 64]]
LABELS = [3, 0, 9]
NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
TEST_IMAGES, TEST_LABELS = NAMES["test"]


def idx_of(sizes: tuple[int, ...], content: bytes, dtype: int = 8) -> bytes:
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, dtype, len(sizes), *sizes) + content


IMAGES_IDX = idx_of((3, 2, 3), bytes(pixel for image in PIXELS for pixel in image))
LABELS_IDX = idx_of((3,), bytes(LABELS))


def idx_folder(folder: Path, images: bytes = IMAGES_IDX, labels: bytes = LABELS_IDX) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TEST_IMAGES).write_bytes(images)
    (folder / TEST_LABELS).write_bytes(labels)
    return folder


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANALOG_FHN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist, "MIRRORS", ())


# --- IDX files


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("packed", [(False, False), (True, True), (True, False)])
def test_idx_files_plain_and_gzipped(tmp_path: Path, split: str, packed: tuple[bool, bool]) -> None:
    for name, content, gz in zip(NAMES[split], (IMAGES_IDX, LABELS_IDX), packed, strict=True):
        path = tmp_path / (f"{name}.gz" if gz else name)
        path.write_bytes(gzip.compress(content, mtime=0) if gz else content)
    read = load("mnist", split, tmp_path)
    expected = [[value / 255 for value in image] for image in PIXELS]
    np.testing.assert_allclose(read.images, expected, rtol=1e-7)  # single precision
    np.testing.assert_array_equal(read.labels, LABELS)
    assert (read.images.dtype, read.labels.dtype) == (np.float32, np.int64)
    assert (read.name, read.n_classes, read.scale) == ("mnist", 10, (0.0, 1.0))
    assert "SHA-256 differs from MNIST" in read.source
    assert str(tmp_path) in read.source


def test_the_contents_and_not_the_name_say_whether_a_file_is_packed(tmp_path: Path) -> None:
    idx_folder(tmp_path, images=gzip.compress(IMAGES_IDX, mtime=0))
    (tmp_path / TEST_LABELS).rename(tmp_path / f"{TEST_LABELS}.gz")
    np.testing.assert_array_equal(load("mnist", "test", tmp_path).labels, LABELS)


def test_source_says_when_the_checksums_are_those_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx_folder(tmp_path)
    monkeypatch.setitem(mnist.MNIST_SHA256, TEST_IMAGES, hashlib.sha256(IMAGES_IDX).hexdigest())
    assert "SHA-256 differs from MNIST" in load("mnist", "test", tmp_path).source
    monkeypatch.setitem(mnist.MNIST_SHA256, TEST_LABELS, hashlib.sha256(LABELS_IDX).hexdigest())
    assert "SHA-256 matches MNIST" in load("mnist", "test", tmp_path).source


def test_more_than_ten_classes_are_counted(tmp_path: Path) -> None:
    idx_folder(tmp_path, labels=idx_of((3,), bytes([1, 26, 2])))
    assert load("mnist", "test", tmp_path).n_classes == 27


def test_folder_is_the_argument_then_the_environment_each_with_its_subfolder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = idx_folder(tmp_path / "given", labels=idx_of((3,), bytes([1, 1, 1])))
    idx_folder(tmp_path / "environment" / "mnist", labels=idx_of((3,), bytes([2, 2, 2])))
    monkeypatch.setenv("ANALOG_FHN_DATA", str(tmp_path / "environment"))
    assert load("mnist", "test", given).labels[0] == 1
    assert load("mnist", "test").labels[0] == 2
    monkeypatch.setenv("ANALOG_FHN_DATA", str(given))
    assert load("mnist", "test", tmp_path / "environment").labels[0] == 2
    assert load("mnist", "test").labels[0] == 1


def test_folder_without_the_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = refusal("mnist", data=tmp_path / "absent")
    assert str(tmp_path / "absent") in absent
    assert "does not exist" in absent
    assert TEST_IMAGES in absent
    file = tmp_path / "file"
    file.touch()
    assert "is not a folder" in refusal("mnist", data=file)
    assert f"neither it nor its subfolder mnist holds {TEST_IMAGES}" in refusal("mnist", data=tmp_path)
    monkeypatch.setenv("ANALOG_FHN_DATA", str(tmp_path / "absent"))
    assert "(ANALOG_FHN_DATA) does not exist" in refusal("mnist")
    assert "cannot be read" in refusal("mnist", data=tmp_path / ("long" * 100))


def test_one_missing_file_of_two_is_named(tmp_path: Path) -> None:
    (idx_folder(tmp_path) / TEST_LABELS).unlink()
    assert f"{TEST_LABELS} is missing" in refusal("mnist", data=tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "0 bytes are too short for an IDX file"),
        (IMAGES_IDX[:3], "3 bytes are too short for an IDX file"),
        (IMAGES_IDX[:9], "9 bytes are too short for the header of 16 bytes"),
        (IMAGES_IDX[:-1], "truncated: 33 bytes, but the header (3 x 2 x 3) expects 34"),
        (IMAGES_IDX + b"\0\0", "too long: 36 bytes, but the header (3 x 2 x 3) expects 34"),
        (idx_of((2**32 - 1,) * 3, b""), "truncated: 16 bytes"),
        (b"PK\x03\x04" + IMAGES_IDX, "bad magic number 50 4b 03 04, expected 00 00 08 03"),
        (LABELS_IDX, "bad magic number 00 00 08 01, expected 00 00 08 03"),
        (idx_of((3, 2, 3), bytes(72), dtype=0x0D), "data type code 0x0d (32-bit float), expected 0x08"),
        (idx_of((3, 2, 3), bytes(18), dtype=0x0A), "data type code 0x0a (unknown to IDX), expected 0x08"),
        (idx_of((0, 2, 3), b""), "empty: sizes 0 x 2 x 3"),
        (gzip.compress(IMAGES_IDX, mtime=0)[:-9], "damaged gzip file"),
        (gzip.compress(IMAGES_IDX, mtime=0)[:5], "damaged gzip file"),
        (gzip.compress(IMAGES_IDX, mtime=0)[:12] + bytes(30), "damaged gzip file"),
        (gzip.compress(IMAGES_IDX, mtime=0)[:-5] + bytes(5), "damaged gzip file"),
        (gzip.compress(IMAGES_IDX, mtime=0) + b"rubbish", "damaged gzip file"),
    ],
)
def test_malformed_image_file_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    message = refusal("mnist", data=idx_folder(tmp_path, images=content))
    assert str(tmp_path / TEST_IMAGES) in message
    assert said in message


def test_malformed_label_file_is_refused(tmp_path: Path) -> None:
    message = refusal("mnist", data=idx_folder(tmp_path, labels=IMAGES_IDX))
    assert str(tmp_path / TEST_LABELS) in message
    assert "expected 00 00 08 01" in message


def test_image_and_label_counts_that_differ_are_refused(tmp_path: Path) -> None:
    message = refusal("mnist", data=idx_folder(tmp_path, labels=idx_of((4,), bytes(4))))
    assert f"{TEST_IMAGES} holds 3 images but" in message
    assert f"{TEST_LABELS} holds 4 labels" in message


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (idx_folder(tmp_path) / TEST_IMAGES).unlink()
    (tmp_path / TEST_IMAGES).mkdir()
    assert f"{TEST_IMAGES} is missing" in refusal("mnist", data=tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("t10k-images.idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        ("T10K-IMAGES.IDX3-UBYTE", "t10k-labels.IDX1-ubyte.GZ"),
    ],
)
def test_idx_files_with_a_dot_or_in_upper_case(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, content in zip(names, (IMAGES_IDX, LABELS_IDX), strict=True):
        (tmp_path / name).write_bytes(gzip.compress(content) if name.lower().endswith(".gz") else content)
    (tmp_path / TEST_IMAGES).mkdir()  # as some archives unpack
    read = load("mnist", "test", tmp_path)
    np.testing.assert_array_equal(read.labels, LABELS)
    expected = zip(names, (TEST_IMAGES, TEST_LABELS), strict=True)
    assert read.notes == tuple(f"{had} read as {name}" for had, name in expected if had != f"{name}.gz")


def test_idx_files_under_their_own_names_need_no_note(tmp_path: Path) -> None:
    assert load("mnist", "test", idx_folder(tmp_path)).notes == ()


def test_two_idx_files_of_one_name_must_be_alike(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    other = tmp_path / "t10k-labels.idx1-ubyte.gz"
    other.write_bytes(gzip.compress(LABELS_IDX))
    np.testing.assert_array_equal(load("mnist", "test", tmp_path).labels, LABELS)
    other.write_bytes(gzip.compress(idx_of((3,), bytes(3))))
    said = refusal("mnist", data=tmp_path)
    assert f"{tmp_path / TEST_LABELS} and t10k-labels.idx1-ubyte.gz hold other data" in said


def test_idx_file_that_unpacks_to_more_than_a_small_file_may_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idx, "MOST_VALUES", 2**20)
    bomb = gzip.compress(idx_of((2**12, 28, 28), bytes(2**12 * 784)))
    assert "unpacks to more than 1 MiB" in refusal("mnist", data=idx_folder(tmp_path, images=bomb))


# --- download


@dataclass
class Mirror:
    """A web server on the loopback interface: what it offers, what it was asked for."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    promised: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            offer.asked.append(self.path)
            if name not in offer.files or not self.path.startswith("/mnist/"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(offer.promised.get(name, len(offer.files[name]))))
            self.end_headers()
            self.wfile.write(offer.files[name])

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    offer = Mirror(f"http://127.0.0.1:{server.server_port}/mnist/")
    for name, content in ((TEST_IMAGES, IMAGES_IDX), (TEST_LABELS, LABELS_IDX)):
        offer.files[f"{name}.gz"] = gzip.compress(content, mtime=0)
        monkeypatch.setitem(mnist.MNIST_SHA256, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(mnist, "MIRRORS", (offer.url,))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield offer
    server.shutdown()
    thread.join()
    server.server_close()


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_download_fills_the_cache_once(tmp_path: Path, mirror: Mirror, capfd: pytest.CaptureFixture[str]) -> None:
    first = load("mnist", "test")
    np.testing.assert_array_equal(first.labels, LABELS)
    assert "SHA-256 matches MNIST" in first.source
    assert mirror.asked == [f"/mnist/{TEST_IMAGES}.gz", f"/mnist/{TEST_LABELS}.gz"]
    assert cached(tmp_path) == [f"{TEST_IMAGES}.gz", f"{TEST_LABELS}.gz"]
    assert (tmp_path / "cache" / "analog-fhn" / "mnist").is_dir()
    second = load("mnist", "test")
    np.testing.assert_array_equal(second.images, first.images)
    assert len(mirror.asked) == 2
    assert capfd.readouterr() == ("", "")


def test_cache_is_below_the_home_folder_unless_said_otherwise(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    load("mnist", "test")
    assert (tmp_path / "home" / ".cache" / "analog-fhn" / "mnist" / f"{TEST_IMAGES}.gz").is_file()
    assert not Path("relative").exists()


@pytest.mark.parametrize(
    "damage",
    [b"", b"rubbish", gzip.compress(b"rubbish", mtime=0), gzip.compress(IMAGES_IDX, mtime=0)[:-4], IMAGES_IDX],
    ids=["empty", "not gzip", "other contents", "truncated", "not packed"],
)
def test_corrupt_download_is_refused_and_leaves_nothing(tmp_path: Path, mirror: Mirror, damage: bytes) -> None:
    mirror.files[f"{TEST_IMAGES}.gz"] = damage
    message = refusal("mnist")
    assert f"{mirror.url}{TEST_IMAGES}.gz" in message
    assert "ANALOG_FHN_DATA" in message
    assert cached(tmp_path) == []


def test_wrong_checksum_says_found_and_expected(mirror: Mirror) -> None:
    mirror.files[f"{TEST_IMAGES}.gz"] = gzip.compress(b"rubbish", mtime=0)
    message = refusal("mnist")
    assert hashlib.sha256(b"rubbish").hexdigest() in message
    assert hashlib.sha256(IMAGES_IDX).hexdigest() in message


def test_connection_that_ends_early_is_refused(tmp_path: Path, mirror: Mirror) -> None:
    mirror.promised[f"{TEST_IMAGES}.gz"] = 10_000
    assert "IncompleteRead" in refusal("mnist")
    assert cached(tmp_path) == []


def test_mirrors_are_tried_in_turn(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRRORS", (mirror.url.replace("mnist", "elsewhere"), mirror.url))
    np.testing.assert_array_equal(load("mnist", "test").labels, LABELS)
    assert len(mirror.asked) == 4


def test_absent_mirrors_are_all_named(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        silent = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        elsewhere = mirror.url.replace("mnist", "elsewhere")
        monkeypatch.setattr(mnist, "MIRRORS", (silent, elsewhere))
        message = refusal("mnist")
    assert f"{silent}{TEST_IMAGES}.gz: " in message
    assert f"{elsewhere}{TEST_IMAGES}.gz: " in message
    assert "404" in message


@pytest.mark.parametrize(
    "damage", [b"rubbish", gzip.compress(IMAGES_IDX, mtime=0)[:-6], gzip.compress(LABELS_IDX, mtime=0)]
)
def test_damaged_cache_is_filled_again(tmp_path: Path, mirror: Mirror, damage: bytes) -> None:
    folder = tmp_path / "cache" / "analog-fhn" / "mnist"
    folder.mkdir(parents=True)
    (folder / f"{TEST_IMAGES}.gz").write_bytes(damage)
    assert load("mnist", "test").images.shape == (3, 6)
    assert gzip.decompress((folder / f"{TEST_IMAGES}.gz").read_bytes()) == IMAGES_IDX


def test_cache_that_cannot_be_written_is_refused(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    message = refusal("mnist")
    assert "cannot be written" in message
    assert "XDG_CACHE_HOME" in message


def test_interrupted_write_leaves_nothing(tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: str, target: str) -> None:
        assert Path(source).read_bytes() == mirror.files[Path(target).name]
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "move", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("mnist", "test")
    assert cached(tmp_path) == []
