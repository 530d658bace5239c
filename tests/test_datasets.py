"""Data sets: what is read is what was written, and whatever is wrong is said in one message."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import pickle
import socket
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path

import numpy as np
import pytest

from analog_fhn import datasets, idx
from analog_fhn.errors import InputError

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


def refusal(dataset: str | Path, *, data: Path | None = None, split: str = "test") -> str:
    with pytest.raises(InputError) as caught:
        datasets.load(str(dataset), split, data)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(autouse=True)
def _no_data_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANALOG_FHN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets, "MIRRORS", ())


# --- the data set itself


def a_dataset(**changes: object) -> datasets.Dataset:
    fields: dict[str, object] = {
        "name": "some",
        "images": np.arange(12, dtype=np.float32).reshape(4, 3),
        "labels": np.array([0, 1, 2, 1]),
        "n_classes": 3,
        "scale": (0.0, 11.0),
        "source": "here",
    }
    return datasets.Dataset(**(fields | changes))


def test_head_gives_the_first_images_without_copying() -> None:
    whole = a_dataset()
    first = whole.head(2)
    np.testing.assert_array_equal(first.images, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(first.labels, [0, 1])
    assert np.shares_memory(first.images, whole.images)
    assert (first.n_classes, first.scale, first.source) == (3, (0.0, 11.0), "here")


@pytest.mark.parametrize("n", [-1, 0, 5])
def test_head_refuses_more_or_fewer_than_there_are(n: int) -> None:
    with pytest.raises(InputError, match=r"some holds 4; expected 1 to 4"):
        a_dataset().head(n)


def uneven() -> datasets.Dataset:
    """Three classes with 7, 5 and 9 images; the first pixel is the place of the image."""
    labels = np.repeat(np.arange(3), [7, 5, 9])[np.arange(21) * 8 % 21]
    images = np.stack([np.arange(21), labels], axis=1).astype(np.float32)
    return datasets.Dataset("some", images, labels, 3, (0.0, 21.0), "here")


def test_balanced_has_each_class_equally_often_and_no_image_twice() -> None:
    drawn = uneven().balanced(4, seed=3)
    assert np.bincount(drawn.labels).tolist() == [4, 4, 4]
    assert len(set(drawn.images[:, 0])) == 12
    np.testing.assert_array_equal(drawn.images[:, 1], drawn.labels)  # each image kept its label
    assert (drawn.n_classes, drawn.scale, drawn.source) == (3, (0.0, 21.0), "here")
    assert np.any(np.diff(drawn.labels) < 0)  # mixed, so that the first images are no single class


def test_balanced_takes_all_of_the_smallest_class() -> None:
    whole = uneven()
    drawn = whole.balanced(5, seed=0)
    assert set(drawn.images[drawn.labels == 1, 0]) == set(whole.images[whole.labels == 1, 0])


def test_draws_follow_their_seed() -> None:
    whole = uneven()
    for draw in (lambda seed: whole.balanced(4, seed), lambda seed: whole.split(6, seed)[1]):
        np.testing.assert_array_equal(draw(1).images, draw(1).images)
        assert set(draw(1).images[:, 0]) != set(draw(2).images[:, 0])


@pytest.mark.parametrize(
    ("per_class", "said"),
    [(6, "6 images per class asked for, but some holds 5 of class 1; expected 1 to 5"), (0, "expected at least 1")],
)
def test_balanced_refuses_more_than_the_smallest_class_has(per_class: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        uneven().balanced(per_class, seed=0)


def test_split_parts_the_images() -> None:
    whole = uneven()
    rest, held_out = whole.split(6, seed=4)
    assert (len(rest.labels), len(held_out.labels)) == (15, 6)
    assert set(rest.images[:, 0]) | set(held_out.images[:, 0]) == set(range(21))
    for part in (rest, held_out):
        np.testing.assert_array_equal(part.images[:, 1], part.labels)
        assert np.all(np.diff(part.images[:, 0]) > 0)


@pytest.mark.parametrize("n", [-1, 0, 21])
def test_split_leaves_images_on_both_sides(n: int) -> None:
    with pytest.raises(InputError, match="some holds 21; expected 1 to 20"):
        uneven().split(n, seed=0)


@pytest.mark.parametrize("draw", [lambda s: s.balanced(1, -1), lambda s: s.split(1, -1)])
def test_negative_seeds_are_refused(draw: Callable[[datasets.Dataset], object]) -> None:
    with pytest.raises(InputError, match="seed = -1"):
        draw(uneven())


def test_a_dataset_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        a_dataset().name = "other"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": np.zeros((4, 3))}, "images are float64 and labels int64; expected float32 and int64"),
        ({"labels": np.zeros(4, dtype=np.int32)}, "labels int32; expected float32 and int64"),
        ({"images": np.zeros(4, dtype=np.float32)}, "shape (4,); expected (n, n_in)"),
        ({"images": np.zeros((0, 3), dtype=np.float32)}, "not empty"),
        ({"labels": np.zeros(3, dtype=np.int64)}, "4 images but labels of shape (3,)"),
        ({"images": np.full((4, 3), np.nan, dtype=np.float32)}, "NaN or infinite"),
        ({"images": np.full((4, 3), -np.inf, dtype=np.float32)}, "NaN or infinite"),
        ({"labels": np.array([0, 1, 3, 1])}, "labels run from 0 to 3; expected 0 to 2"),
        ({"labels": np.array([0, -1, 2, 1])}, "labels run from -1 to 2; expected 0 to 2"),
    ],
)
def test_a_dataset_that_does_not_fit_together_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        a_dataset(**changes)
    assert str(caught.value).startswith("here: ")
    assert said in str(caught.value)


def test_unknown_split_and_unknown_name_are_refused() -> None:
    assert "expected 'train' or 'test'" in refusal("digits", split="validation")
    assert refusal("minst") == "dataset 'minst': expected mnist, digits, or the path of a .npz or .csv file"


def test_nothing_heavy_is_imported_with_the_module() -> None:
    code = "import sys, analog_fhn.datasets; print({'sklearn', 'keras', 'jax'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- IDX files


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("packed", [(False, False), (True, True), (True, False)])
def test_idx_files_plain_and_gzipped(tmp_path: Path, split: str, packed: tuple[bool, bool]) -> None:
    for name, content, gz in zip(NAMES[split], (IMAGES_IDX, LABELS_IDX), packed, strict=True):
        path = tmp_path / (f"{name}.gz" if gz else name)
        path.write_bytes(gzip.compress(content, mtime=0) if gz else content)
    read = datasets.load("mnist", split, tmp_path)
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
    np.testing.assert_array_equal(datasets.load("mnist", "test", tmp_path).labels, LABELS)


def test_source_says_when_the_checksums_are_those_of_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    idx_folder(tmp_path)
    monkeypatch.setitem(datasets.MNIST_SHA256, TEST_IMAGES, hashlib.sha256(IMAGES_IDX).hexdigest())
    assert "SHA-256 differs from MNIST" in datasets.load("mnist", "test", tmp_path).source
    monkeypatch.setitem(datasets.MNIST_SHA256, TEST_LABELS, hashlib.sha256(LABELS_IDX).hexdigest())
    assert "SHA-256 matches MNIST" in datasets.load("mnist", "test", tmp_path).source


def test_more_than_ten_classes_are_counted(tmp_path: Path) -> None:
    idx_folder(tmp_path, labels=idx_of((3,), bytes([1, 26, 2])))
    assert datasets.load("mnist", "test", tmp_path).n_classes == 27


def test_folder_is_the_argument_then_the_environment_each_with_its_subfolder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = idx_folder(tmp_path / "given", labels=idx_of((3,), bytes([1, 1, 1])))
    idx_folder(tmp_path / "environment" / "mnist", labels=idx_of((3,), bytes([2, 2, 2])))
    monkeypatch.setenv("ANALOG_FHN_DATA", str(tmp_path / "environment"))
    assert datasets.load("mnist", "test", given).labels[0] == 1
    assert datasets.load("mnist", "test").labels[0] == 2
    monkeypatch.setenv("ANALOG_FHN_DATA", str(given))
    assert datasets.load("mnist", "test", tmp_path / "environment").labels[0] == 2
    assert datasets.load("mnist", "test").labels[0] == 1


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
    np.testing.assert_array_equal(datasets.load("mnist", "test", tmp_path).labels, LABELS)


def test_two_idx_files_of_one_name_must_be_alike(tmp_path: Path) -> None:
    idx_folder(tmp_path)
    other = tmp_path / "t10k-labels.idx1-ubyte.gz"
    other.write_bytes(gzip.compress(LABELS_IDX))
    np.testing.assert_array_equal(datasets.load("mnist", "test", tmp_path).labels, LABELS)
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
        monkeypatch.setitem(datasets.MNIST_SHA256, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(datasets, "MIRRORS", (offer.url,))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield offer
    server.shutdown()
    thread.join()
    server.server_close()


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_download_fills_the_cache_once(tmp_path: Path, mirror: Mirror) -> None:
    first = datasets.load("mnist", "test")
    np.testing.assert_array_equal(first.labels, LABELS)
    assert "SHA-256 matches MNIST" in first.source
    assert mirror.asked == [f"/mnist/{TEST_IMAGES}.gz", f"/mnist/{TEST_LABELS}.gz"]
    assert cached(tmp_path) == [f"{TEST_IMAGES}.gz", f"{TEST_LABELS}.gz"]
    assert (tmp_path / "cache" / "analog-fhn" / "mnist").is_dir()
    second = datasets.load("mnist", "test")
    np.testing.assert_array_equal(second.images, first.images)
    assert len(mirror.asked) == 2


def test_cache_is_below_the_home_folder_unless_said_otherwise(
    tmp_path: Path, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    datasets.load("mnist", "test")
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
    monkeypatch.setattr(datasets, "MIRRORS", (mirror.url.replace("mnist", "elsewhere"), mirror.url))
    np.testing.assert_array_equal(datasets.load("mnist", "test").labels, LABELS)
    assert len(mirror.asked) == 4


def test_absent_mirrors_are_all_named(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        silent = f"http://127.0.0.1:{unheard.getsockname()[1]}/"
        elsewhere = mirror.url.replace("mnist", "elsewhere")
        monkeypatch.setattr(datasets, "MIRRORS", (silent, elsewhere))
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
    assert datasets.load("mnist", "test").images.shape == (3, 6)
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
    def interrupted(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        datasets.load("mnist", "test")
    assert cached(tmp_path) == []


# --- digits


def test_digits_are_those_of_scikit_learn_split_without_overlap() -> None:
    from sklearn.datasets import load_digits

    train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
    assert (train.images.shape, test.images.shape) == ((1297, 64), (500, 64))
    everything = load_digits()
    # Sixteenths are exact in binary.
    original = np.column_stack([everything.data, everything.target])
    found = np.column_stack(
        [
            16.0 * np.concatenate([train.images, test.images]).astype(np.float64),
            np.concatenate([train.labels, test.labels]),
        ]
    )
    np.testing.assert_array_equal(found[np.lexsort(found.T)], original[np.lexsort(original.T)])
    for part in (train, test):
        assert (part.n_classes, part.scale, part.name) == (10, (0.0, 1.0), "digits")
        assert (part.images.min(), part.images.max()) == (0.0, 1.0)


def test_digits_split_is_stratified() -> None:
    train, test = datasets.load("digits", "train"), datasets.load("digits", "test")
    of_class = np.bincount(train.labels) + np.bincount(test.labels)
    share = of_class * 500 / 1797
    assert np.all(np.abs(np.bincount(test.labels) - share) <= 1)


def test_digits_split_is_the_same_for_ever() -> None:
    test = datasets.load("digits", "test")
    # Pinned when the split was made: results on the digits can be compared only within one split.
    assert test.labels[:20].tolist() == [5, 9, 6, 7, 8, 0, 6, 9, 2, 3, 7, 3, 3, 5, 1, 1, 1, 8, 4, 6]
    digest = hashlib.sha256((16 * test.images).astype(np.uint8).tobytes()).hexdigest()
    assert digest == "3242ec7f7abd864236e5a58ae9c0c58a154ffc202b2f8216a4bc98cf0a9cc372"


# --- .npz files


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


RAW = np.array([[0, 10, 200], [5, 255, 3]], dtype=np.uint8)


def test_npz_is_the_split_that_is_asked_for(tmp_path: Path) -> None:
    path = npz(tmp_path / "mine.npz", images=RAW, labels=np.array([4, 0], dtype=np.uint8))
    for split in ("train", "test"):
        read = datasets.load(str(path), split)
        np.testing.assert_array_equal(read.images, [[0, 10, 200], [5, 255, 3]])
        np.testing.assert_array_equal(read.labels, [4, 0])
        assert (read.images.dtype, read.labels.dtype) == (np.float32, np.int64)
        assert (read.name, read.n_classes, read.scale) == ("mine.npz", 5, (0.0, 255.0))
        assert str(path) in read.source


def test_npz_with_both_splits_shares_classes_and_scale(tmp_path: Path) -> None:
    path = npz(
        tmp_path / "both.npz",
        train_images=np.array([[0.0, -2.0], [1.0, 0.5]]),
        train_labels=[0, 1],
        test_images=np.array([[3.0, 0.0]]),
        test_labels=[2],
    )
    train, test = datasets.load(str(path), "train"), datasets.load(str(path), "test")
    np.testing.assert_array_equal(train.images, [[0.0, -2.0], [1.0, 0.5]])
    np.testing.assert_array_equal(test.images, [[3.0, 0.0]])
    np.testing.assert_array_equal(test.labels, [2])
    assert (train.n_classes, train.scale) == (test.n_classes, test.scale) == (3, (-2.0, 3.0))


def test_npz_images_with_height_and_width_are_flattened_by_rows(tmp_path: Path) -> None:
    path = npz(tmp_path / "square.npz", images=np.arange(8.0).reshape(2, 2, 2), labels=[0.0, 1.0])
    np.testing.assert_array_equal(datasets.load(str(path), "test").images, [[0, 1, 2, 3], [4, 5, 6, 7]])


@pytest.mark.parametrize("shape", [(2, 4), (2, 2, 2), (2, 2, 2, 1), (2, 1, 2, 2)])
@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "<f2", ">f4", ">f8", "g"])
def test_images_of_one_channel_and_any_real_type_are_those_pixels(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    pixels = (np.arange(8) % 2).reshape(shape).astype(dtype)
    path = npz(tmp_path / "mine.npz", images=pixels, labels=[0, 1])
    np.testing.assert_array_equal(datasets.load(str(path), "test").images, [[0, 1, 0, 1], [0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("labels", "n_classes"),
    [
        ([[2], [0]], 3),
        ([2.0, 0.0], 3),
        (np.array([2, 0], dtype="<f2"), 3),
        (np.array([[2], [0]], dtype=">u8"), 3),
        ([[0, 0, 1, 0], [1, 0, 0, 0]], 4),
        ([[False, False, True], [True, False, False]], 3),
        ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], 3),
    ],
    ids=[
        "column",
        "whole floats",
        "half precision",
        "big-endian column",
        "one-hot",
        "one-hot booleans",
        "one-hot floats",
    ],
)
def test_labels_in_a_column_or_one_hot_are_those_classes(tmp_path: Path, labels: object, n_classes: int) -> None:
    read = datasets.load(str(npz(tmp_path / "mine.npz", images=RAW, labels=labels)), "test")
    assert (read.labels.tolist(), read.n_classes) == ([2, 0], n_classes)


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "y_train", "X_test", "y_test"),
    ],
)
def test_npz_with_both_splits_under_any_of_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    arrays = dict(zip(names, (RAW, [0, 1], RAW[::-1], [1, 0]), strict=True))
    path = npz(tmp_path / "both.npz", **arrays, other=np.zeros(7))
    train, test = datasets.load(str(path), "train"), datasets.load(str(path), "test")
    np.testing.assert_array_equal(train.images, RAW)
    np.testing.assert_array_equal(test.images, RAW[::-1])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1], [1, 0])
    assert test.source.endswith(f"({names[2]}, {names[3]})")


@pytest.mark.parametrize("names", [("x", "y"), ("X", "y"), ("Images", "LABELS")])
def test_npz_without_splits_under_any_of_its_names(tmp_path: Path, names: tuple[str, str]) -> None:
    path = npz(tmp_path / "mine.npz", **dict(zip(names, (RAW, [4, 0]), strict=True)))
    read = datasets.load(str(path), "train")
    np.testing.assert_array_equal(read.images, RAW)
    assert read.labels.tolist() == [4, 0]


def test_npz_that_unpacks_to_more_numbers_than_a_small_file_may_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idx, "MOST_VALUES", 10_000)
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((100, 784), np.uint8), labels=np.zeros(100, np.uint8))
    assert "unpacks to 78500 numbers; expected at most 10000" in refusal(tmp_path / "bomb.npz")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": RAW}, "missing labels; found images; expected images and labels, or train_images"),
        ({"pictures": RAW, "y": [0, 1]}, "missing x; found pictures, y; expected images and labels, or train_images"),
        ({"x_train": RAW, "y_train": [0, 1]}, "missing x_test and y_test; found x_train, y_train"),
        ({"x": RAW, "X": RAW, "y": [0, 1]}, "holds x, X and y: which are meant"),
        ({"images": RAW, "labels": [0, 1], "x": RAW, "Y": [0, 1]}, "holds images, labels, x and Y: which are meant?"),
        ({}, "found no arrays"),
        ({"train_images": RAW, "train_labels": [0, 1]}, "missing test_images and test_labels; found train_images"),
        ({"images": RAW[0], "labels": [0]}, "images: shape (3,); expected (n, n_in) or (n, height, width)"),
        ({"images": RAW[:, :, None, None], "labels": [0, 1]}, "images: shape (2, 3, 1, 1)"),
        ({"images": RAW[:0], "labels": []}, "images: shape (0, 3)"),
        ({"images": RAW[:, :, None, None].repeat(3, axis=3), "labels": [0, 1]}, "images: shape (2, 3, 1, 3)"),
        ({"images": RAW.reshape(2, 1, 3, 1), "labels": [0, 1]}, "images: shape (2, 1, 3, 1); expected (n, n_in) or"),
        ({"images": RAW, "labels": [[[0]], [[1]]]}, "labels: shape (2, 1, 1); expected (n,)"),
        ({"images": RAW, "labels": [[0, 1], [1, 1]]}, "labels: shape (2, 2), but row 1 (counted from 0) is not one 1"),
        ({"images": RAW, "labels": [[0, 1, 0], [0, 1, 1]]}, "labels: shape (2, 3), but row 1"),
        ({"images": RAW, "labels": [[0, 1, 0], [0, 0, 0]]}, "labels: shape (2, 3), but row 1"),
        ({"images": RAW, "labels": [[0, 1, 0], [0, 1, 2]]}, "labels: shape (2, 3), but row 1"),
        ({"images": RAW, "labels": [[0, 1], [0, 0]]}, "labels: shape (2, 2), but row 1 (counted from 0) is not one 1"),
        ({"images": RAW, "labels": [[0.2, 0.8], [0, 1]]}, "labels: shape (2, 2), but row 0"),
        ({"images": RAW, "labels": [[1, np.nan], [0, 1]]}, "labels: shape (2, 2), but row 0"),
        ({"images": RAW, "labels": 3}, "labels: shape (); expected (n,)"),
        ({"images": 3.0, "labels": [0, 1]}, "images: shape (); expected (n, n_in)"),
        ({"images": RAW, "labels": np.array(["2020", "2021"], dtype="M8[Y]")}, "labels: type datetime64[Y]; expected"),
        ({"images": RAW.astype([("a", "u1")]), "labels": [0, 1]}, "images: type [('a', 'u1')]; expected real numbers"),
        ({"images": np.full((2, 3), np.longdouble("1e400")), "labels": [0, 1]}, "fit single precision"),
        ({"images": RAW, "labels": [0, 1, 1]}, "2 images but labels of shape (3,)"),
        ({"images": RAW * 1j, "labels": [0, 1]}, "images: type complex128; expected real numbers"),
        ({"images": RAW.astype(str), "labels": [0, 1]}, "images: type <U3; expected real numbers"),
        ({"images": RAW, "labels": ["cat", "dog"]}, "labels: type <U3; expected whole numbers"),
        ({"images": [[0.0, 1.0], [np.nan, 1.0]], "labels": [0, 1]}, "NaN or infinity in image 1"),
        ({"images": [[0.0, np.inf], [0.0, 1.0]], "labels": [0, 1]}, "NaN or infinity in image 0"),
        ({"images": [[0.0, -1e300], [0.0, 1.0]], "labels": [0, 1]}, "fit single precision"),
        ({"images": RAW, "labels": [0, -1]}, "labels: -1 in place 1 (counted from 0)"),
        ({"images": RAW, "labels": [0.5, 1.0]}, "labels: 0.5 in place 0"),
        ({"images": RAW, "labels": [1.0, np.nan]}, "labels: nan in place 1"),
        ({"images": RAW, "labels": [1.0, np.inf]}, "labels: inf in place 1"),
        ({"images": RAW, "labels": np.array([0, 2**64 - 1], dtype=np.uint64)}, "18446744073709551615"),
        ({"images": RAW, "labels": [0, 20230701]}, "expected whole numbers from 0 to 65535"),
        (
            {"train_images": RAW, "train_labels": [0, 1], "test_images": RAW[:, :2], "test_labels": [0, 1]},
            "3 pixels in train_images and 2 pixels in test_images",
        ),
    ],
)
def test_npz_with_wrong_arrays_is_refused(tmp_path: Path, arrays: dict[str, object], said: str) -> None:
    path = npz(tmp_path / "wrong.npz", **arrays)
    message = refusal(path)
    assert message.startswith(str(path))
    assert said in message


def test_npz_of_pickled_objects_is_refused_unopened(tmp_path: Path) -> None:
    path = npz(tmp_path / "objects.npz", images=np.array([Trap()], dtype=object), labels=[0])
    assert "pickled Python objects" in refusal(path)
    path.write_bytes(pickle.dumps(Trap()))
    assert "is no .npz file" in refusal(path)
    assert Trap.sprung == 0


class Trap:
    """Counts how often it is unpickled."""

    sprung = 0

    def __reduce__(self) -> tuple[object, ...]:
        return spring, ()


def spring() -> None:
    Trap.sprung += 1


def test_single_npy_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "array.npz"
    with path.open("wb") as file:
        np.save(file, RAW)
    assert "is no .npz file; expected one that holds images and labels" in refusal(path)


def test_npz_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = npz(tmp_path / "whole.npz", images=RAW, labels=[0, 1]).read_bytes()
    path = tmp_path / "cut.npz"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert str(path) in refusal(path)


def test_npz_with_flipped_bytes_is_read_or_refused(tmp_path: Path) -> None:
    packed = tmp_path / "packed.npz"
    np.savez_compressed(packed, images=RAW, labels=[0, 1])
    whole = packed.read_bytes()
    path = tmp_path / "flipped.npz"
    messages = []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            datasets.load(str(path), "test")
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > len(whole) / 3
    assert all(str(path) in message for message in messages)


def test_npz_with_a_lying_header_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "lying.npz", labels=[0, 1])
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4000000000, 4000000000), }"
    header = header.ljust(117) + b"\n"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    assert "is damaged (" in refusal(path)


@pytest.mark.parametrize("suffix", [".npz", ".csv"])
def test_absent_file_and_folder_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"absent{suffix}"
    assert refusal(path) == f"{path}: cannot be read: No such file or directory"
    path.mkdir()
    assert refusal(path) == f"{path}: cannot be read: Is a directory"


# --- CSV files


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "label,p0,p1\n1,0.5,-3\n0,2e1,0\n",
        "1,0.5,-3\n0,2e1,0\n",
        "1,0.5,-3\r\n0,2e1,0",
        '"Label","p0","p1"\n"1","0.5","-3"\n"0","20","0"\n',
        "\n\nlabel,p0,p1\n\n1, 0.5, -3\n   \n0, 20, 0\n\n",
        "\ufefflabel,p0,p1\n1,0.5,-3\n0,20,0\n",
        "\ufeff1.0,0.5,-3\n0.0,20,0\n",
        "label;p0;p1\n1;0,5;-3\n0;20;0\n",
        "label\tp0\tp1\n1\t0,5\t-3\n0\t20\t0\n",
        "1 0.5  -3\n0 20   0\n",
        '"label","p0","p1"\n"1","0,5","-3"\n"0","20","0"\n',
        "# label,p0,p1\n1,0.5,-3\n0,20,0\n,,\n",
        "label,p0,p1\r1,0.5,−3\r0,20,0\r",
    ],
    ids=[
        "header",
        "none",
        "crlf",
        "quoted",
        "blank lines",
        "byte-order mark",
        "mark without header",
        "semicolons",
        "tabs",
        "blanks",
        "quoted decimal commas",
        "comment and separators only",
        "typesetter's minus",
    ],
)
def test_csv(tmp_path: Path, text: str) -> None:
    read = datasets.load(str(written(tmp_path / "mine.CSV", text)), "train")
    np.testing.assert_array_equal(read.images, [[0.5, -3.0], [20.0, 0.0]])
    np.testing.assert_array_equal(read.labels, [1, 0])
    assert (read.images.dtype, read.labels.dtype) == (np.float32, np.int64)
    assert (read.name, read.n_classes, read.scale) == ("mine.CSV", 2, (-3.0, 20.0))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_csv_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "mine.csv", "label,pä,p1\n1,0.5,-3\n0,20,0\n", encoding)
    np.testing.assert_array_equal(datasets.load(str(path), "train").images, [[0.5, -3.0], [20.0, 0.0]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label,p0,p1\n1,2,3\n0,x,3\n", "line 3, column 2: 'x' is not a number"),
        ("1,2,3\n\n0,2,\n", "line 3, column 3: '' is not a number"),
        ("1,2,3\n0,1_000,3\n", "line 2, column 2: '1_000' is not a number"),
        ("1,2,3\n0,\u0661,3\n", "line 2, column 2: '\u0661' is not a number"),
        ("1,p0,3\n0,2,3\n", "line 1, column 2: 'p0' is not a number"),
        ("label,p0,p1\n1,2,3\n0,nan,3\n", "line 3, column 2: 'nan'; expected a finite number"),
        ("1,2,3\n0,2,inf\n", "line 2, column 3: 'inf'; expected a finite number"),
        ("1,2,3\n0,2,1e999\n", "line 2, column 3: '1e999'; expected a finite number"),
        ("1,2,3\n0,2\n", "line 2: 2 columns; expected 3"),
        ("label,p0,p1\n1,2,3,4\n", "line 2: 4 columns; expected 3"),
        ("class,p0\n1,2\n", "line 1: the first column is 'class'; expected a number or the heading 'label'"),
        ("label;p0;p1\n1;2,5;3.5\n", "line 2, column 2: '2,5' is not a number"),
        ("0,0,50\n1,0,05\n1,0,25\n", "comma seems to be both separator and decimal mark"),
        ("label,p0\n0,0,0,5\n1,0,0,5\n", "line 2: 4 columns; expected 2"),
        ("1\n2\n", "line 1: one column"),
        ("", "the file is empty; expected images, one per line, the label first"),
        ("\n\n", "the file is empty"),
        ("# label,p0\n#\n", "holds no images"),
        ("label,p0\n\n", "holds no images"),
        ("1.5,2\n0,2\n", "labels: 1.5 in place 0"),
        ("1,2\n-1,2\n", "labels: -1.0 in place 1"),
        ("1,2\n0,1e39\n", "fit single precision"),
    ],
)
def test_malformed_csv_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path / "wrong.csv", text)
    message = refusal(path)
    assert message.startswith(str(path))
    assert said in message


def test_binary_csv_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.csv"
    for content in (bytes(range(256)), b"1,2\n\0\0\0\n", b'label,"' + b"9" * 200_000 + b'"\n1,2\n'):
        path.write_bytes(content)
        assert str(path) in refusal(path)
