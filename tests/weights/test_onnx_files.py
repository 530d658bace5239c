"""ONNX files: what the network computes is what onnx's evaluator computes, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
from onnx_models import Graph, TensorProto, chain, helper, onnx, pixels_last, random_model

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Convolution, Dense, Network

RNG = np.random.default_rng(5)
ROWS = RNG.uniform(-2.0, 2.0, (20, 6))
IMAGES = RNG.uniform(-1.0, 1.0, (4, 2, 9, 8))
HIGH = 1e9  # a relu of the file has no upper end: with this one the scores are the file's


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def dense(graph: Graph, n: int, activation: str = "Sigmoid", hidden: int = 5) -> Graph:
    """Two dense layers behind the values, of which there are n."""
    graph.add("MatMul", normal(n, hidden)).add("Add", normal(hidden)).add(activation)
    return graph.add("Gemm", normal(4, hidden), normal(4), transB=1)


def network(graph: Graph, path: Path, **options: Any) -> Network:
    trained = weights.read(graph.save(path))
    if any(isinstance(part, Dense) and part.unit == "relu" and part.ceiling is None for part in trained.layers or ()):
        options = {"ceilings": HIGH} | options
    return weights.to_network(trained, **options)


def assert_same(graph: Graph, images: Any, pixels: Any, path: Path) -> Network:
    net, expected = network(graph, path), graph.run(images)
    found = net.forward(pixels)
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-5 * max(1.0, abs(expected).max()))
    return net


def refusal(graph: Graph, path: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        network(graph, path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("seed", range(60))
def test_random_models_in_every_layout(seed: int, tmp_path: Path) -> None:
    graph = random_model(seed)
    images = np.random.default_rng(seed).uniform(-1.0, 1.0, (3, *graph.shape))
    last = graph.shape[0] == 9
    pixels = images.reshape(3, -1) if last else pixels_last(images)
    assert_same(graph, images, pixels, tmp_path / "net.onnx")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_of_weights(dtype: Any, tmp_path: Path) -> None:
    graph = dense(chain(dtype=dtype), 6)
    found = network(graph, tmp_path / "net.onnx")
    np.testing.assert_array_equal(found.weights[0], normal(6, 5).astype(dtype).astype(np.float64))


def test_bfloat16(tmp_path: Path) -> None:
    graph = dense(chain(), 6)
    model = graph.model()
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(helper.make_tensor(tensor.name, TensorProto.BFLOAT16, values.shape, values.ravel()))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    found = weights.read(tmp_path / "net.onnx").weights[0]
    np.testing.assert_allclose(found, normal(6, 5), rtol=2**-7)
    assert not np.any(found.astype(np.float32).view(np.uint32) & 0xFFFF)


def test_values_arrive_exactly(tmp_path: Path) -> None:
    trained = weights.read(dense(chain(), 6).save(tmp_path / "net.onnx"))
    np.testing.assert_array_equal(trained.weights[0], normal(6, 5).astype(np.float32))
    assert (trained.hidden, trained.format, trained.notes) == ("sigmoid", "ONNX file", ())


def test_nodes_in_any_order_and_an_input_that_lists_weights(tmp_path: Path) -> None:
    graph = dense(chain(), 6)
    model = graph.model()
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.append(helper.make_tensor_value_info("c0", TensorProto.FLOAT, [6, 5]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    found = weights.to_network(weights.read(tmp_path / "net.onnx"))
    np.testing.assert_allclose(found.forward(ROWS), graph.run(ROWS), atol=1e-5)


def test_weights_in_constants_and_sizes_that_are_computed(tmp_path: Path) -> None:
    # as PyTorch exports x.view(x.size(0), -1), and a layer whose transposition was not folded
    graph = chain((3, 2))
    graph.nodes.append(helper.make_node("Shape", ["x"], ["sizes"]))
    graph.nodes.append(helper.make_node("Gather", ["sizes", graph.constant(np.array(0))], ["first"]))
    graph.nodes.append(helper.make_node("Unsqueeze", ["first", graph.constant([0])], ["row"]))
    graph.nodes.append(helper.make_node("Concat", ["row", graph.constant([-1])], ["both"], axis=0))
    graph.add("Reshape", "both")
    tensor = onnx.numpy_helper.from_array(normal(5, 6).astype(np.float32), "w")
    graph.nodes.append(helper.make_node("Constant", [], ["w"], value=tensor))
    graph.nodes.append(helper.make_node("Transpose", ["w"], ["wt"], perm=[1, 0]))
    graph.add("MatMul", "wt").add("Tanh").add("MatMul", normal(5, 4))
    assert_same(graph, ROWS.reshape(-1, 3, 2), ROWS, tmp_path / "net.onnx")


def test_pixels_from_0_to_255(tmp_path: Path) -> None:
    graph = dense(chain((3, 2)).add("Div", np.array(255.0)).add("Flatten"), 6)
    pixels = RNG.uniform(0.0, 1.0, (20, 6))
    found = assert_same(graph, 255.0 * pixels.reshape(-1, 3, 2), pixels, tmp_path / "net.onnx")
    assert found.input_range == (0.0, 1.0)
    assert "where the model takes 0 to 255, the network takes 0 to 1" in found.provenance["imported"]["notes"][0]


def test_pixels_to_minus_one_and_one(tmp_path: Path) -> None:
    graph = chain((6,)).add("Mul", np.array(1.0 / 127.5)).add("Sub", np.array(1.0))
    pixels = RNG.uniform(0.0, 1.0, (20, 6))
    found = assert_same(dense(graph, 6), 255.0 * pixels, pixels, tmp_path / "net.onnx")
    assert found.input_range == (0.0, 1.0)


def test_normalised_pixels_around_a_padded_convolution(tmp_path: Path) -> None:
    # The model pads with 0 behind the normalisation: around the pixels stands their mean.
    graph = chain((2, 9, 8)).add("Sub", np.array([[[0.3]], [[0.5]]])).add("Div", np.array([[[0.2]], [[0.25]]]))
    graph.add("Conv", normal(3, 2, 3, 3), pads=[1, 1, 1, 1]).add("Relu").add("Flatten").add("MatMul", normal(216, 4))
    found = assert_same(graph, IMAGES, pixels_last(IMAGES), tmp_path / "net.onnx")
    first = found.dense[0]
    assert isinstance(first, Convolution)
    assert first.patches is not None
    np.testing.assert_allclose(first.patches.fill, (0.3, 0.5), atol=1e-6)


def test_channels_first_in_front_of_a_dense_layer(tmp_path: Path) -> None:
    graph = dense(chain((2, 9, 8)).add("Flatten"), 144)
    found = assert_same(graph, IMAGES, pixels_last(IMAGES), tmp_path / "net.onnx")
    assert "the model takes channels first" in found.provenance["imported"]["notes"][0]


def test_two_layers_without_a_unit_between_them(tmp_path: Path) -> None:
    graph = chain((2, 9, 8)).add("Conv", normal(3, 2, 3, 3), normal(3), pads=[1, 1, 1, 1])
    graph.add("Conv", normal(4, 3, 2, 2), normal(4), strides=[2, 1]).add("Sigmoid")
    graph.add("Flatten").add("MatMul", normal(4 * 4 * 7, 6)).add("Gemm", normal(6, 4), normal(4))
    found = assert_same(graph, IMAGES, pixels_last(IMAGES), tmp_path / "net.onnx")
    assert [w.shape for w in found.weights] == [(4 * 4 * 2, 4), (112, 4)]


def test_a_convolution_as_the_last_layer(tmp_path: Path) -> None:
    graph = chain((2, 9, 8)).add("Conv", normal(3, 2, 3, 3)).add("Tanh").add("Conv", normal(4, 3, 3, 3), normal(4))
    graph.add("GlobalAveragePool").add("Flatten")
    found = assert_same(graph, IMAGES, pixels_last(IMAGES), tmp_path / "net.onnx")
    assert found.dense[-1].window is None


def test_outputs_that_are_means_of_a_unit(tmp_path: Path) -> None:
    graph = chain((2, 9, 8)).add("Conv", normal(4, 2, 3, 3)).add("Relu").add("GlobalAveragePool").add("Flatten")
    found = assert_same(graph, IMAGES, pixels_last(IMAGES), tmp_path / "net.onnx")
    np.testing.assert_array_equal(found.weights[-1], np.eye(4))


def test_convolution_of_one_dimension(tmp_path: Path) -> None:
    graph = chain((2, 9)).add("Conv", normal(3, 2, 3), normal(3), strides=[2], pads=[1, 0]).add("Relu")
    graph.add("AveragePool", kernel_shape=[2], strides=[1]).add("Flatten").add("MatMul", normal(9, 4))
    images = IMAGES[..., 0]
    assert_same(graph, images, images.transpose(0, 2, 1).reshape(4, -1), tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("add", "ceiling"),
    [
        (lambda g: g.add("Clip", np.array(0.0), np.array(0.7)), 0.7),
        (lambda g: g.add("Relu").add("Clip", None, np.array(0.7)), 0.7),
        (lambda g: g.add("Relu").add("Min", np.array(0.7)), 0.7),
        (lambda g: g.add("Max", np.array(0.0)).add("Clip", np.array(0.0), np.array(0.7)), 0.7),
        (lambda g: g.add("Clip", np.array(0.0), None), 1e9),
    ],
)
def test_ceilings(add: Callable[[Graph], Graph], ceiling: float, tmp_path: Path) -> None:
    graph = add(chain().add("MatMul", normal(6, 5))).add("MatMul", normal(5, 4))
    found = assert_same(graph, ROWS, ROWS, tmp_path / "net.onnx")
    assert (found.units, found.ceilings) == (("relu",), (pytest.approx(ceiling),))


def test_clip_of_old_opsets(tmp_path: Path) -> None:
    graph = chain(opset=9).add("MatMul", normal(6, 5)).add("Clip", min=0.0, max=6.0).add("MatMul", normal(5, 4))
    assert network(graph, tmp_path / "net.onnx").ceilings == (6.0,)


def test_one_logistic_output_is_two_classes(tmp_path: Path) -> None:
    graph = chain().add("MatMul", normal(6, 5)).add("Tanh").add("Gemm", normal(5, 1), normal(1)).add("Sigmoid")
    found = network(graph, tmp_path / "net.onnx").forward(ROWS).argmax(axis=1)
    np.testing.assert_array_equal(found, graph.run(ROWS)[:, 0] > 0.5)


# --- what no neuron follows ---------------------------------------------------------------------------------------


def silu(graph: Graph) -> Graph:
    before = graph.last
    graph.add("Sigmoid")
    return graph.add("Mul", before)


def gelu(graph: Graph) -> Graph:
    before = graph.last
    graph.add("Div", np.array(2.0**0.5)).add("Erf").add("Add", np.array(1.0)).add("Mul", before)
    return graph.add("Mul", np.array(0.5))


@pytest.mark.parametrize(
    ("add", "name", "unit"),
    [
        (lambda g: g.add("LeakyRelu", alpha=0.1), "leaky_relu", "relu"),
        (lambda g: g.add("Elu"), "elu", "relu"),
        (lambda g: g.add("PRelu", np.full(5, 0.2)), "prelu", "relu"),
        (lambda g: g.add("HardSigmoid"), "hard_sigmoid", "sigmoid"),
        (lambda g: g.add("Clip", np.array(-1.0), np.array(1.0)), "hard_tanh", "tanh"),
        (silu, "silu", "relu"),
        (gelu, "gelu", "relu"),
    ],
)
def test_the_nearest_unit(add: Callable[[Graph], Graph], name: str, unit: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    graph = add(chain().add("MatMul", normal(6, 5))).add("MatMul", normal(5, 4))
    assert f"hidden activation '{name}'" in refusal(graph, path)
    found = network(graph, path, nearest=True)
    assert found.units == (unit,)
    assert f"activation {name} read as {unit}" in found.provenance["imported"]["notes"][-1]
    plain = chain().add("MatMul", normal(6, 5)).add({"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}[unit])
    np.testing.assert_allclose(found.forward(ROWS), plain.add("MatMul", normal(5, 4)).run(ROWS), atol=1e-5)


def test_max_pooling_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"

    def model(kind: str) -> Graph:
        graph = chain((2, 9, 8)).add("Conv", normal(3, 2, 2, 3)).add("Sigmoid")
        return graph.add(kind, kernel_shape=[2, 2], strides=[2, 2]).add("Flatten").add("MatMul", normal(36, 4))

    message = refusal(model("MaxPool"), path)
    assert "node 'n2' (MaxPool): max pooling picks the largest of several values" in message
    assert "analog-fhn train --start" in message
    found = network(model("MaxPool"), path, nearest=True)
    np.testing.assert_allclose(found.forward(pixels_last(IMAGES)), model("AveragePool").run(IMAGES), atol=1e-5)


# --- what is refused ----------------------------------------------------------------------------------------------


def residual(graph: Graph) -> Graph:
    before = graph.add("MatMul", normal(6, 6)).add("Tanh").last
    return graph.add("MatMul", normal(6, 6)).add("Tanh").add("Add", before).add("MatMul", normal(6, 4))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: residual(chain()), "a branch, as a residual connection has"),
        (lambda: dense(chain().add("Erf"), 6), "node 'n0' (Erf): this operator has no place in this circuit; expected"),
        (lambda: chain((4, 6)).add("LSTM", normal(1, 8, 6), normal(1, 8, 2)), "recurrent layers have no place"),
        (lambda: dense(chain(("h", 2)), 6), "has the sizes (n, h, 2)"),
        (lambda: dense(chain().add("QuantizeLinear", np.array(0.1)), 6), "the model is quantised to whole numbers"),
        (lambda: dense(chain(), 7), "has weights of shape (7, 5), but is given 6 values"),
        (lambda: dense(chain(opset=6), 6), "opset 6; expected 7 or newer"),
        (lambda: chain().add("MatMul", normal(6, 4)).add("Softmax"), "holds 1 linear layers"),
        (lambda: dense(chain().add("MatMul", normal(6, 6)).add("Softmax"), 6), "stands behind softmax"),
        (lambda: dense(chain(), 6, "Relu").add("Relu"), "output activation 'relu'"),
        (lambda: dense(chain((6, 3)), 3), "along the last axis of values of shape (6, 3); flatten them"),
        (lambda: dense(chain().add("Reshape", [-1, 3]), 3), "makes [3] of 6 values"),
        (lambda: dense(chain().add("Cast", to=TensorProto.INT64), 6), "makes whole numbers of the values"),
        (lambda: chain((3, 4, 4)).add("Conv", normal(2, 2, 3, 3)), "is given 3 channels"),
        (
            lambda: chain((2, 9, 8)).add("Conv", normal(3, 2, 3, 3)).add("Conv", normal(3, 3, 3, 3), pads=[1, 1, 1, 1]),
            "expected an activation between the two, or no padding",
        ),
        (
            lambda: (
                chain((2, 9, 8)).add("Conv", normal(3, 2, 2, 3)).add("Reshape", [0, 3, 6, 8]).add("GlobalAveragePool")
            ),
            "is used on another image than node 'n0' (Conv) gives",
        ),
        (
            lambda: chain().add("MatMul", normal(6, 8)).add("Reshape", [0, 1, 4, 2]).add("Conv", normal(3, 1, 2, 2)),
            "node 'n2' (Conv): is used on another image than node 'n0' (MatMul) gives; expected an activation between",
        ),
    ],
    ids=["residual", "unknown", "lstm", "dynamic", "int8", "shapes", "opset", "one layer", "softmax", "relu output",
         "last axis", "images merged", "whole", "channels", "padding between",
         "reshaped", "image of a row"],
)  # fmt: skip
def test_models_without_a_circuit(make: Callable[[], Graph], said: str, tmp_path: Path) -> None:
    assert said in refusal(make(), tmp_path / "net.onnx")


@pytest.mark.parametrize("what", ["input", "output"])
def test_several_inputs_or_outputs(what: str, tmp_path: Path) -> None:
    model = dense(chain(), 6).model()
    getattr(model.graph, what).append(helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["n", 5]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=f"has 2 {what}s .*; expected one"):
        weights.read(tmp_path / "net.onnx")


def test_other_domains_and_functions(tmp_path: Path) -> None:
    graph, path = dense(chain(), 6), tmp_path / "net.onnx"
    graph.nodes[2].domain = "com.microsoft"
    assert "is of the domain 'com.microsoft'; expected operators of ONNX itself" in refusal(graph, path)
    model = dense(chain(), 6).model()
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], [], []))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="defines functions of its own"):
        weights.read(path)


def test_control_flow(tmp_path: Path) -> None:
    graph = dense(chain(), 6)
    branch = helper.make_graph([], "b", [], [])
    graph.add("If", then_branch=branch, else_branch=branch)
    assert "loops and conditions are not run" in refusal(graph, tmp_path / "net.onnx")


def test_external_data_is_not_opened(tmp_path: Path) -> None:
    model = dense(chain(), 6).model()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    assert (tmp_path / "w.bin").exists()
    with pytest.raises(InputError, match="its numbers are in another file, which is not opened; put all into one"):
        weights.read(tmp_path / "net.onnx")


def test_truncated_files(tmp_path: Path) -> None:
    whole, path = dense(chain(), 6).model().SerializeToString(), tmp_path / "net.onnx"
    for length in range(0, len(whole), len(whole) // 12):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"net\.onnx: "):
            weights.read(path)
    path.write_bytes(whole[:-20])
    with pytest.raises(InputError, match="is cut off or no ONNX file"):
        weights.read(path)


def test_content_tells_the_format(tmp_path: Path) -> None:
    graph = dense(chain(), 6)
    assert weights.read(graph.save(tmp_path / "net.bin")).format == "ONNX file"


def test_reading_needs_no_framework(tmp_path: Path) -> None:
    path = dense(chain(), 6).save(tmp_path / "net.onnx")
    script = (
        "import sys; from analog_fhn import weights; weights.load_network(sys.argv[1])\n"
        "print(sorted({'torch', 'keras', 'tensorflow', 'jax', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
