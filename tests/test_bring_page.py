"""The page "Bring your network": its examples run, one after another."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analog_fhn.network import Network

PAGE = (Path(__file__).parents[1] / "docs" / "bring.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python|bash)\n(.*?)```", PAGE, flags=re.DOTALL)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def stand_ins(folder: Path) -> None:
    """The files of examples whose framework is not there, with the same layers."""
    from onnx_models import Graph
    from safetensors.numpy import save_file

    rng = np.random.default_rng(1)
    graph = Graph((1, 8, 8)).add("Conv", rng.normal(size=(6, 1, 3, 3)), rng.normal(size=6))
    graph.add("Clip", np.array(0.0), np.array(6.0)).add("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    graph.add("Flatten").add("Gemm", rng.normal(size=(10, 54)), rng.normal(size=10), transB=1)
    graph.save(folder / "model.onnx", batch=1)
    shapes = {"0.weight": (20, 64), "0.bias": (20,), "2.weight": (10, 20), "2.bias": (10,)}
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(tensors, folder / "model.safetensors")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    from analog_fhn.training.plain import keras_on_jax

    keras_on_jax()
    monkeypatch.chdir(tmp_path)
    torch = find_spec("torch") is not None
    if not torch:
        stand_ins(tmp_path)
    namespace: dict[str, Any] = {}
    for number, (kind, block) in enumerate(BLOCKS):
        if kind == "bash":
            for line in block.splitlines():
                program, *arguments = shlex.split(line)
                assert program == "analog-fhn"
                done = subprocess.run([sys.executable, "-m", "analog_fhn", *arguments], capture_output=True, text=True)
                assert done.returncode == 0, f"{line}\n{done.stderr}"
        elif torch or "import torch" not in block:
            exec(compile(block, f"docs/bring.md, example {number}", "exec"), namespace)
    test = namespace["test"]
    for name in ("keras", "sklearn", "arrays-network"):
        assert Network.load(tmp_path / f"{name}.npz").accuracy(test.images, test.labels) > 0.8, name
    assert Network.load(tmp_path / "onnx.npz").ceilings == (6.0,)
    assert Network.load(tmp_path / "torch.npz").hidden == "tanh"
