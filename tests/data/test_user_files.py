"""Data sets in the user's files: what is read is what was written, and what is wrong is said in one message."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from dataset_readers import refusal
from trap import Trap

from analog_fhn.data import from_arrays, idx, load
from analog_fhn.errors import InputError

# --- .npz files


def npz(path: Path, **arrays: object) -> Path:
    np.savez(path, **arrays)
    return path


RAW = np.array([[0, 10, 200], [5, 255, 3]], dtype=np.uint8)


def test_npz_is_the_split_that_is_asked_for(tmp_path: Path) -> None:
    path = npz(tmp_path / "mine.npz", images=RAW, labels=np.array([4, 0], dtype=np.uint8))
    for split in ("train", "test"):
        read = load(str(path), split)
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
    train, test = load(str(path), "train"), load(str(path), "test")
    np.testing.assert_array_equal(train.images, [[0.0, -2.0], [1.0, 0.5]])
    np.testing.assert_array_equal(test.images, [[3.0, 0.0]])
    np.testing.assert_array_equal(test.labels, [2])
    assert (train.n_classes, train.scale) == (test.n_classes, test.scale) == (3, (-2.0, 3.0))


def test_npz_images_with_height_and_width_are_flattened_by_rows(tmp_path: Path) -> None:
    path = npz(tmp_path / "square.npz", images=np.arange(8.0).reshape(2, 2, 2), labels=[0.0, 1.0])
    np.testing.assert_array_equal(load(str(path), "test").images, [[0, 1, 2, 3], [4, 5, 6, 7]])


@pytest.mark.parametrize("shape", [(2, 4), (2, 2, 2), (2, 2, 2, 1), (2, 1, 2, 2)])
@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "<f2", ">f4", ">f8", "g"])
def test_images_of_one_channel_and_any_real_type_are_those_pixels(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    pixels = (np.arange(8) % 2).reshape(shape).astype(dtype)
    path = npz(tmp_path / "mine.npz", images=pixels, labels=[0, 1])
    np.testing.assert_array_equal(load(str(path), "test").images, [[0, 1, 0, 1], [0, 1, 0, 1]])


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
    read = load(str(npz(tmp_path / "mine.npz", images=RAW, labels=labels)), "test")
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
    train, test = load(str(path), "train"), load(str(path), "test")
    np.testing.assert_array_equal(train.images, RAW)
    np.testing.assert_array_equal(test.images, RAW[::-1])
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 1], [1, 0])
    assert test.source.endswith(f"({names[2]}, {names[3]})")


@pytest.mark.parametrize("names", [("x", "y"), ("X", "y"), ("Images", "LABELS")])
def test_npz_without_splits_under_any_of_its_names(tmp_path: Path, names: tuple[str, str]) -> None:
    path = npz(tmp_path / "mine.npz", **dict(zip(names, (RAW, [4, 0]), strict=True)))
    read = load(str(path), "train")
    np.testing.assert_array_equal(read.images, RAW)
    assert read.labels.tolist() == [4, 0]


def test_labels_that_are_one_number_throughout_are_told(tmp_path: Path) -> None:
    path = tmp_path / "label_last.csv"
    path.write_text("0,0.5,1\n0,0.25,0\n")
    assert load(str(path), "test").notes == ("labels: the first column, which is 0 in every line",)
    path.write_text("1,0,0.5\n0,0,0.25\n")
    assert load(str(path), "test").notes == ()


# --- layouts

COLOURS = np.arange(2 * 5 * 6 * 3, dtype=np.float32).reshape(2, 5, 6, 3)
ROWS = [[v for line in image for place in line for v in place] for image in COLOURS.tolist()]


@pytest.mark.parametrize(
    ("images", "note"),
    [
        (COLOURS, "images: shape (2, 5, 6, 3) read as 5 lines of 6 values in 3 channels, which come last"),
        (
            np.moveaxis(COLOURS, 3, 1),
            "images: shape (2, 3, 5, 6) read as 5 lines of 6 values in 3 channels, which come last",
        ),
    ],
    ids=["channels last", "channels first"],
)
def test_colour_images_are_flattened_channels_last(images: object, note: str, tmp_path: Path) -> None:
    read = load(str(npz(tmp_path / "mine.npz", images=images, labels=[0, 1])), "test")
    np.testing.assert_array_equal(read.images, ROWS)
    assert read.notes == (note,)


@pytest.mark.parametrize(
    "shape", [(2, 3, 3, 3), (2, 3, 8, 3), (2, 2, 9, 4), (2, 8, 8, 5), (2, 16, 8, 16), (2, 2, 2, 2, 3)]
)
def test_images_whose_channels_cannot_be_told_are_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    message = refusal(npz(tmp_path / "mine.npz", images=np.ones(shape), labels=[0, 1]))
    assert f"images: shape {shape}; expected" in message
    assert "flatten them, channels last: (n, height * width * channels)" in message


def test_images_that_stand_last_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = npz(tmp_path / "mine.npz", X=np.moveaxis(COLOURS, 0, 3)[..., :2], y=[0, 1])
    message = refusal(path)
    assert "5 images but labels of shape (2,)" in message
    assert message.endswith("if the images stand last, put them first: numpy.moveaxis(images, -1, 0)")
    assert "moveaxis" not in refusal(npz(tmp_path / "other.npz", X=np.ones((3, 4)), y=[0, 1]))


@pytest.mark.parametrize(
    ("images", "labels", "notes"),
    [
        (np.ones((2, 4)), [0, 1], ()),
        (
            np.full((2, 2, 3), 255, np.uint8),
            [0, 1],
            (
                "images: shape (2, 2, 3) read as 2 lines of 3 values",
                "images: uint8 from 255 to 255, kept as they are, not scaled",
            ),
        ),
        (np.ones((2, 1, 2, 3)), [0, 1], ("images: shape (2, 1, 2, 3) read as 2 lines of 3 values",)),
        (np.ones((2, 2, 3, 1)), [0, 1], ("images: shape (2, 2, 3, 1) read as 2 lines of 3 values",)),
        (np.ones((2, 4)), [[0], [1]], ("labels: shape (2, 1) read as a column of class numbers",)),
        (np.ones((2, 4)), [[0, 1, 0], [1, 0, 0]], ("labels: one-hot rows of 3 classes",)),
    ],
)
def test_what_could_be_read_otherwise_is_said(images: object, labels: object, notes: object, tmp_path: Path) -> None:
    path = npz(tmp_path / "mine.npz", images=images, labels=labels)
    assert load(str(path), "test").notes == notes
    assert from_arrays(images, labels).notes == notes  # type: ignore[arg-type]


def test_the_notes_are_those_of_the_split(tmp_path: Path) -> None:
    path = npz(tmp_path / "mnist.npz", x_train=RAW, y_train=[0, 1], x_test=RAW, y_test=[[0], [1]])
    bytes_kept = "uint8 from 0 to 255, kept as they are, not scaled"
    assert load(str(path), "train").notes == (f"x_train: {bytes_kept}",)
    assert load(str(path), "test").notes == (
        f"x_test: {bytes_kept}",
        "y_test: shape (2, 1) read as a column of class numbers",
    )


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
            load(str(path), "test")
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
    read = load(str(written(tmp_path / "mine.CSV", text)), "train")
    np.testing.assert_array_equal(read.images, [[0.5, -3.0], [20.0, 0.0]])
    np.testing.assert_array_equal(read.labels, [1, 0])
    assert (read.images.dtype, read.labels.dtype) == (np.float32, np.int64)
    assert (read.name, read.n_classes, read.scale) == ("mine.CSV", 2, (-3.0, 20.0))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_csv_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path / "mine.csv", "label,pä,p1\n1,0.5,-3\n0,20,0\n", encoding)
    np.testing.assert_array_equal(load(str(path), "train").images, [[0.5, -3.0], [20.0, 0.0]])


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
