"""Files of skops and Equinox that were damaged or made to harm: each is imported, or refused in a few lines."""

from __future__ import annotations

import io
import json
import warnings as python_warnings
import zipfile
from typing import Any

import numpy as np
import pytest
import skops.io
from hostile import EXAMPLES, check, damaged, hostile
from hostile_files import array, changed, lie
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

READER = "hostile_readers:read_weights"
FEW = settings(hostile, max_examples=EXAMPLES // 4)


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    """Members of a file that skops wrote, whose schema has nothing but what is read."""
    images = np.random.default_rng(2).uniform(size=(30, 4))
    model = make_pipeline(MinMaxScaler(), StandardScaler(), MLPClassifier((3,), activation="tanh", max_iter=3))
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(images, np.arange(30) % 3)
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])
    for step in schema["content"]["content"]["steps"]["content"]:
        attributes = step["content"][1]["content"]["content"]
        for name in list(attributes):
            if name not in READ:
                del attributes[name]
    return files | {"schema.json": json.dumps(schema).encode()}


READ = {
    "mean_", "scale_", "min_", "data_min_", "data_max_", "with_mean", "with_std", "clip", "coefs_", "intercepts_",
    "activation", "out_activation_", "classes_",
}  # fmt: skip


def archive_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def leaves(*arrays: Any, settings_: Any = None) -> bytes:
    """An Equinox file."""
    stream = io.BytesIO()
    if settings_ is not None:
        stream.write((json.dumps(settings_) + "\n").encode())
    for values in arrays:
        np.lib.format.write_array(stream, np.asarray(values), allow_pickle=True)
    return stream.getvalue()


LEAVES = (np.ones((3, 4), "f4"), np.ones(3, "f4"), np.array(0.5), np.array(False), np.ones((2, 3), "f4"))
SETTINGS = {"activation": "tanh", "final_activation": "softmax", "mlp": {"depth": [1, 2.0, None]}}


@given(data=st.data())
@FEW
def test_hostile_bytes(data: st.DataObject, members: dict[str, bytes]) -> None:
    whole = [archive_of(members), leaves(*LEAVES), leaves(*LEAVES, settings_=SETTINGS)]
    check(READER, "net.bin", data.draw(damaged(whole)))


@given(data=st.data())
@FEW
def test_hostile_schemas(data: st.DataObject, members: dict[str, bytes]) -> None:
    schema = data.draw(changed(json.loads(members["schema.json"])))
    check(READER, "net.skops", archive_of(members | {"schema.json": json.dumps(schema).encode()}))


@given(data=st.data())
@FEW
def test_hostile_arrays_in_skops(data: st.DataObject, members: dict[str, bytes]) -> None:
    name = data.draw(st.sampled_from(sorted(name for name in members if name.endswith(".npy"))))
    content = leaves(data.draw(array())) if data.draw(st.booleans()) else data.draw(lie(members[name]))
    check(READER, "net.skops", archive_of(members | {name: content}))


@given(data=st.data())
@FEW
def test_hostile_leaves(data: st.DataObject) -> None:
    arrays = list(LEAVES)
    for _ in range(data.draw(st.integers(0, 2))):
        arrays[data.draw(st.integers(0, len(arrays) - 1))] = data.draw(array())
    told = data.draw(st.none() | changed(SETTINGS))
    check(READER, "net.eqx", leaves(*arrays, settings_=told))


def test_whole_files_are_accepted(members: dict[str, bytes]) -> None:
    for content in (archive_of(members), leaves(*LEAVES), leaves(*LEAVES, settings_=SETTINGS)):
        assert check(READER, "net.bin", content).kind == "accepted"
