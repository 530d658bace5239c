"""Fitted classifiers of scikit-learn in `.skops` files; neither scikit-learn nor skops is needed.

Source of the layout: files written by skops 0.16 (protocol 2). A zip archive holds arrays as `.npy` and `schema.json`,
a tree of nodes. Each names a class (`__class__`, `__module__`) and how it is loaded (`__loader__`): what is read here
are JSON values, lists, dictionaries, arrays and the attributes of scikit-learn's own estimators; no other node is
looked at.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from analog_fhn._support.json_text import read_json, read_object
from analog_fhn._support.limits import open_archive
from analog_fhn._support.npz import Arrays
from analog_fhn.errors import InputError, shown
from analog_fhn.weights import estimators
from analog_fhn.weights.estimators import Estimator
from analog_fhn.weights.trained import TrainedWeights

SCHEMA = "schema.json"
"""Member of an archive that tells such a file."""

_DEEPEST = 64


def read(path: Path) -> TrainedWeights:
    """Layers of a fitted classifier in a `.skops` file.

    Raises
    ------
    InputError
        For another object than `estimators.read` takes, or a damaged file.
    """
    with open_archive(path) as archive:
        tree = read_object(archive.read(SCHEMA), f"{path}: {SCHEMA}")
        content = _value(tree, archive, path)
        if not isinstance(content, Estimator):
            raise InputError(f"{path}: holds {shown(content)}; expected a fitted classifier of scikit-learn")
        return estimators.read(content, path, "skops file")


def _value(node: Any, archive: zipfile.ZipFile, path: Path) -> Any:
    """What a node stands for; attributes of an estimator are looked at when they are asked for."""
    loader = node["__loader__"]
    if loader == "JsonNode":
        return read_json(node["content"], f"{path}: {SCHEMA}")
    if loader in ("ListNode", "TupleNode"):
        return [_value(part, archive, path) for part in node["content"]]
    if loader == "DictNode":
        return {name: _value(part, archive, path) for name, part in node["content"].items()}
    if loader == "NdArrayNode" and node["type"] == "numpy":
        name = node["file"]
        if name not in archive.namelist():
            raise InputError(f"{path}: {shown(name)} is not in it, though {SCHEMA} names it; save or copy it again")
        return Arrays(archive)[name.removesuffix(".npy")]
    if loader == "NdArrayNode":  # of objects: names of classes
        return [_value(part, archive, path) for part in node["content"]]
    if loader == "ObjectNode":
        attributes = node["content"]["content"]
        return Estimator(node["__class__"], node["__module__"], lambda name: _value(attributes[name], archive, path))
    kind = f"{node.get('__module__')}.{node.get('__class__')}"
    raise InputError(
        f"{path}: {SCHEMA} holds {shown(kind)} (loaded as {shown(loader)}); expected plain values and arrays"
    )
