"""Weight files that were damaged or made to harm: each is imported, or refused in a few lines."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import h5py
import numpy as np
import pytest
from hostile import EXAMPLES, check, damaged, hostile
from hostile_files import NAMES, array, arrays_changed, changed, npz
from hostile_readers import small_network
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import random_model

from analog_fhn import weights
from analog_fhn.network import Convolution, Dense, Network
from analog_fhn.patches import AveragePool, Patches

READER = "hostile_readers:read_weights"
# a process is started for each: fewer than of the others
OF_HDF5 = settings(hostile, max_examples=max(10, EXAMPLES // 25))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A whole file of each format."""
    folder, network = tmp_path_factory.mktemp("originals"), small_network()
    for suffix in weights.SUFFIXES:
        weights.write(folder / f"net{suffix}", network.weights, network.biases)
    (folder / "old.h5").write_bytes(old_model(model_of(network), {}))
    (folder / "net.onnx").write_bytes(random_model(3).model().SerializeToString())
    weights.write(folder / "images.keras", image_network())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def model_of(network: Any) -> dict[str, Any]:
    """Description of a model as Keras 2 has it."""
    layers = [
        {"class_name": "Flatten", "config": {"name": "flatten", "batch_input_shape": [None, 4]}},
        {"class_name": "Rescaling", "config": {"name": "rescaling", "scale": 0.5, "offset": -1.0}},
    ] + [
        {"class_name": "Dense", "config": {"name": f"dense_{k}", "units": w.shape[1], "activation": "sigmoid",
                                           "use_bias": b is not None}}
        for k, (w, b) in enumerate(zip(network.weights, network.biases, strict=True))
    ]  # fmt: skip
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def old_model(model: Any, put: dict[str, Any]) -> bytes:
    """HDF5 file of Keras 2 with the model; `put` replaces arrays and attributes ("@dense_0") of it."""
    network, stream = small_network(), io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.attrs["model_config"] = json.dumps(model).encode()
        for k, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
            group = file.create_group(f"model_weights/dense_{k}")
            names = [f"dense_{k}/kernel:0"] + ([] if b is None else [f"dense_{k}/bias:0"])
            group.attrs["weight_names"] = put.get(f"@dense_{k}", names)
            for name, values in zip(names, (w, b), strict=False):
                group[name] = put.get(name, values)
    return stream.getvalue()


def image_network() -> Network:
    """A convolution, a mean and a dense layer."""
    patches, rng = Patches((4, 4, 1), (2, 2), padding=((0, 1), (1, 0))), np.random.default_rng(1)
    first = Convolution(rng.normal(size=(4, 2)), rng.normal(size=2), "relu", "tanh", 2.0, patches)
    return Network((first, AveragePool((4, 4, 2), (2, 2), (2, 2)), Dense(rng.normal(size=(8, 2)))))


@st.composite
def onnx_model(draw: st.DrawFn) -> bytes:
    """A model in which numbers, names, sizes or operators were exchanged."""
    model = random_model(draw(st.integers(0, 40))).model()
    for _ in range(draw(st.integers(1, 3))):
        node = draw(st.sampled_from(list(model.graph.node)))
        tensor = draw(st.sampled_from(list(model.graph.initializer)))
        text = draw(st.sampled_from(["", "x", "v0", "c0", "Loop", "MatMul", "Relu", "Concat", "\x1b[2J", "n" * 5000]))
        number = draw(st.sampled_from([-(2**63), -1, 0, 1, 2, 2**31, 2**62]))
        match draw(st.sampled_from(["kind", "input", "output", "attribute", "dims", "data", "type", "size", "lose"])):
            case "kind":
                node.op_type = text
            case "input" if node.input:
                node.input[draw(st.integers(0, len(node.input) - 1))] = text
            case "output" if node.output:
                node.output[0] = text
            case "attribute" if node.attribute:
                one = draw(st.sampled_from(list(node.attribute)))
                one.i, one.type = number, draw(st.sampled_from([one.type, 0, 1, 2, 3, 7]))
                one.ints[:] = [number] * len(one.ints)
            case "dims" if tensor.dims:
                tensor.dims[draw(st.integers(0, len(tensor.dims) - 1))] = number
            case "data":
                tensor.raw_data = draw(st.sampled_from([b"", b"\xff" * 64, tensor.raw_data[:-1], tensor.raw_data * 2]))
            case "type":
                tensor.data_type = draw(st.sampled_from([0, 2, 7, 8, 10, 16, 17, 22, 99]))
            case "size":
                sizes = model.graph.input[0].type.tensor_type.shape.dim
                sizes[draw(st.integers(0, len(sizes) - 1))].dim_value = number
            case _:
                model.graph.node.remove(node)
                if not model.graph.node:
                    break
    return bytes(model.SerializeToString())


def safetensors(header: Any, content: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content


@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES // 4)
def test_hostile_bytes(data: st.DataObject, originals: dict[str, bytes]) -> None:
    name = data.draw(st.sampled_from(["net.npz", "net.safetensors", "net.keras", "net.onnx"]))
    check(READER, name, data.draw(damaged([originals[name]])))


@given(data=st.data())
@OF_HDF5
def test_hostile_bytes_of_hdf5(data: st.DataObject, originals: dict[str, bytes]) -> None:
    name = data.draw(st.sampled_from(["net.weights.h5", "old.h5"]))
    check(READER, name, data.draw(damaged([originals[name]])))


@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES)
def test_hostile_nodes_in_onnx(data: st.DataObject) -> None:
    check(READER, "net.onnx", data.draw(onnx_model()))


@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES // 4)
def test_hostile_arrays_in_npz(data: st.DataObject) -> None:
    w0, w1 = small_network().weights
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    arrays = dict(zip(names, (w0, w1, w0[0], w1[0]), strict=False))
    check(READER, "net.npz", data.draw(npz(data.draw(arrays_changed(arrays)))))


@given(data=st.data())
@settings(hostile, max_examples=EXAMPLES // 4)
def test_hostile_headers_of_safetensors(data: st.DataObject) -> None:
    w0, w1 = (np.ascontiguousarray(w.T) for w in small_network().weights)
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True))
    ends = (0, w0.nbytes, w0.nbytes + w1.nbytes)
    header: dict[str, Any] = {
        name: {"dtype": "F64", "shape": list(w.shape), "data_offsets": list(ends[k : k + 2])}
        for k, (name, w) in enumerate(zip(names, (w0, w1), strict=True))
    }
    header["__metadata__"] = {"hidden": "tanh"}
    check(READER, "net.safetensors", safetensors(data.draw(changed(header)), w0.tobytes() + w1.tobytes()))


@given(data=st.data())
@OF_HDF5
def test_hostile_models_of_old_keras(data: st.DataObject) -> None:
    model = data.draw(changed(model_of(small_network())))
    put: dict[str, Any] = {}
    if data.draw(st.booleans()):
        strange = array().filter(lambda values: values.dtype.kind in "fiubcS")
        put["dense_0/kernel:0"] = data.draw(strange)
    if data.draw(st.booleans()):
        put["@dense_1"] = data.draw(st.sampled_from([[], [b""], [b"/"], [b"a/../b"], [b"dense_1/bias:0"], 1.0, "x"]))
    check(READER, "net.h5", old_model(model, put))


@given(data=st.data())
@OF_HDF5
def test_hostile_configurations_in_archives(data: st.DataObject, originals: dict[str, bytes]) -> None:
    stream, name = io.BytesIO(), data.draw(st.sampled_from(["net.keras", "images.keras"]))
    with zipfile.ZipFile(io.BytesIO(originals[name])) as whole, zipfile.ZipFile(stream, "w") as archive:
        config = json.loads(whole.read("config.json"))
        archive.writestr(zipfile.ZipInfo("config.json"), json.dumps(data.draw(changed(config))))
        archive.writestr(zipfile.ZipInfo("model.weights.h5"), whole.read("model.weights.h5"))
    check(READER, "net.keras", stream.getvalue())


def test_whole_files_are_accepted(originals: dict[str, bytes]) -> None:
    assert {name: check(READER, name, raw).kind for name, raw in originals.items()} == dict.fromkeys(
        originals, "accepted"
    )
