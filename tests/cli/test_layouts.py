"""Data sets in other layouts: commands say once, on standard error, how they were read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import run

from analog_fhn.data import load
from analog_fhn.network import Network

ONE_HOT = "labels: one-hot rows of 10 classes"


def written(path: Path, images: object, labels: object) -> Path:
    np.savez(path, images=images, labels=labels)
    return path


def test_layouts_are_said_once(tmp_path: Path) -> None:
    test = load("digits", "test").head(60)
    rng = np.random.default_rng(0)
    Network.of_weights((rng.normal(size=(64, 4)), rng.normal(size=(4, 10)))).save(tmp_path / "net.npz")
    pixels, one_hot = test.images.reshape(-1, 1, 8, 8), np.eye(10)[test.labels]
    told = f"images: shape {pixels.shape} read as 8 lines of 8 values; {ONE_HOT}"
    path = written(tmp_path / "images.npz", pixels, one_hot)
    for command in (
        ("classify", tmp_path / "net.npz", "--dataset", path, "--images", 2),
        ("train", "--dataset", path, "--hidden", 4, "--epochs", 1, "-o", tmp_path / "trained.npz"),
    ):
        status, _, err = run(*command)
        assert status == 0, err
        assert err.count(told) == 1
        assert f"note: {path}" in err
    plain = written(tmp_path / "plain.npz", test.images, test.labels)
    assert "shape" not in run("classify", tmp_path / "net.npz", "--dataset", plain, "--images", 2)[2]
