"""Networks in ONNX files: one chain of nodes from one input to one output.

Source of what the operators do: the ONNX operator specification (onnx.ai/onnx/operators), opsets 7 to 26. Nothing is
run, and no other file is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from analog_fhn._support.extras import extra
from analog_fhn.errors import InputError, shown
from analog_fhn.weights.chain import Chain
from analog_fhn.weights.onnx_nodes import take
from analog_fhn.weights.onnx_numbers import Numbers, Step, name_of
from analog_fhn.weights.trained import TrainedWeights

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_NEED = "ONNX files need onnx"
_OLDEST = 7  # of the operators: before it, broadcasting was another
_MOST_NODES = 10_000

_QUANTISED = {
    "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger",
    "MatMulInteger",
}  # fmt: skip
_CONTROL = {"If", "Loop", "Scan", "SequenceMap"}
# Activations of several nodes, by one of them that they alone have.
_SPREAD_OUT = (
    ("Erf", "gelu"),
    ("Softplus", "mish"),
    ("Tanh", "gelu"),
    ("HardSigmoid", "hard_swish"),
    ("Sigmoid", "silu"),
)


def read(path: Path) -> TrainedWeights:
    """Network of an ONNX file.

    Raises
    ------
    InputError
        If the file is cut off or keeps numbers in another; if the graph is no chain from one input to one output, a
        size of the input other than the number of images is open, or a node has no place in a circuit.
    MissingProgramError
        If onnx is not installed.
    """
    with extra("import", _NEED):
        import onnx
        from google.protobuf.message import DecodeError
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError as error:
        raise InputError(f"{path}: is cut off or no ONNX file ({error}); copy or export it again") from None
    graph = _Graph(model, path)
    return graph.read()


class _Graph:
    """The graph of a model, its numbers, and the chain of layers that it becomes.

    Parameters
    ----------
    model
        The file's content.
    path
        Name of the file in messages.
    """

    def __init__(self, model: ModelProto, path: Path) -> None:
        self.path = path
        graph = model.graph
        if not graph.node or len(graph.node) > _MOST_NODES:
            raise InputError(f"{path}: holds {len(graph.node)} nodes; expected a graph of 1 to {_MOST_NODES}")
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {name: node for node in graph.node for name in node.output if name}
        self.numbers = Numbers(path, tensors, self.makers)
        inputs = [value for value in graph.input if value.name not in tensors]
        for what, values in (("inputs", inputs), ("outputs", graph.output)):
            if len(values) != 1:
                names = ", ".join(shown(value.name) for value in list(values)[:4]) or "none"
                raise InputError(f"{path}: has {len(values)} {what} ({names}); expected one")
        self.input, self.output = inputs[0].name, graph.output[0].name
        self.nodes = self._needed()
        _check_model(model, self.nodes, path)
        self.users: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in set(node.input):
                self.users.setdefault(name, []).append(node)
        self.batch, shape = self._input_sizes(inputs[0])
        self.chain = Chain(path, shape)

    def read(self) -> TrainedWeights:
        """Layers of the graph."""
        name = self.input
        for _ in range(len(self.nodes) + 1):
            self.numbers.sizes[name] = self.chain.shape or ()
            users = [node for node in self.users.get(name, ()) if node.op_type != "Shape"]
            if name == self.output:
                if users:
                    raise InputError(
                        f"{self.path}: output {shown(name)} is used within the model too; expected one chain"
                    )
                return self.chain.finish("ONNX file")
            name = self._next(name, users)
        raise InputError(f"{self.path}: the nodes go round in a circle; expected one chain of them")

    def _next(self, name: str, users: list[NodeProto]) -> str:
        """Take in the node that uses these values; the name of what it gives."""
        if len(users) == 1 and list(users[0].input).count(name) == 1:
            node = users[0]
            take(Step(node, list(node.input).index(name), self.chain, self.numbers, self.batch))
            return str(node.output[0])
        merging = self._spread_out(name, users) if len(users) == 2 else None
        if merging is not None:
            return merging
        listed = ", ".join(name_of(node) for node in users[:4]) or "none"
        raise InputError(
            f"{self.path}: values {shown(name)} are used by {listed}: a branch, as a residual connection has; expected "
            "one chain of nodes from the input to the output"
        )

    def _spread_out(self, name: str, users: list[NodeProto]) -> str | None:
        """Take in an activation of several nodes: x times something of x; None: it is none that is known."""
        kinds: set[str] = set()
        for one, other in (users, users[::-1]):
            node = one
            for _ in range(8):
                kinds.add(node.op_type)
                after = self.users.get(node.output[0], [])
                if len(after) != 1:
                    break
                node = after[0]
                if node is other and node.op_type == "Mul":
                    found = next((unit for kind, unit in _SPREAD_OUT if kind in kinds), None)
                    if found is None:
                        return None
                    self.chain.unit(name_of(node), found)
                    following = self.users.get(node.output[0], [])
                    if found == "gelu" and len(following) == 1 and following[0].op_type == "Mul":
                        node = following[0]  # by 1/2
                    return str(node.output[0])
        return None

    def _needed(self) -> list[NodeProto]:
        """Nodes that the output is computed by."""
        needed: dict[int, NodeProto] = {}
        waiting = [self.output]
        while waiting:
            node = self.makers.get(waiting.pop())
            if node is not None and id(node) not in needed:
                needed[id(node)] = node
                waiting += list(node.input)
        if not any(self.input in node.input for node in needed.values()):
            raise InputError(f"{self.path}: the output {shown(self.output)} does not follow from {shown(self.input)}")
        return list(needed.values())

    def _input_sizes(self, value: Any) -> tuple[int | None, tuple[int, ...]]:
        """Number of images, None if any; sizes of an image."""
        sizes = value.type.tensor_type.shape.dim
        names = [f"{size.dim_param or size.dim_value or '?'}" for size in sizes]
        if len(names) < 2 or any(size.dim_value < 1 for size in sizes[1:]):
            raise InputError(
                f"{self.path}: input {shown(value.name)} has the sizes ({', '.join(names) or 'unknown'}); expected the "
                "number of images, which may be open, and fixed sizes: export it with the size of your images"
            )
        return sizes[0].dim_value or None, tuple(size.dim_value for size in sizes[1:])


def _check_model(model: ModelProto, nodes: list[NodeProto], path: Path) -> None:
    """Refuse what no node of a chain may be, before the nodes are looked at one by one."""
    if model.functions:
        raise InputError(f"{path}: defines functions of its own; export it with operators of ONNX alone")
    for node in nodes:
        at = f"{path}: {name_of(node)}"
        if node.op_type in _QUANTISED:
            raise InputError(
                f"{at}: the model is quantised to whole numbers; expected the one with floats, before that"
            )
        if node.op_type in _CONTROL:
            raise InputError(f"{at}: loops and conditions are not run; expected one chain of layers")
        if node.domain not in ("", "ai.onnx"):
            raise InputError(f"{at}: is of the domain {shown(node.domain)}; expected operators of ONNX itself")
    version = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), default=0)
    if version < _OLDEST:
        raise InputError(f"{path}: opset {version}; expected {_OLDEST} or newer (onnx.version_converter)")
