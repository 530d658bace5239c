"""Files that skops wrote: what the network computes is what scikit-learn computes, and what is refused."""

from __future__ import annotations

import importlib
import json
import pickle
import warnings as python_warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from refused_files import refusal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, PolynomialFeatures, StandardScaler

from analog_fhn import weights
from analog_fhn.errors import InputError
from analog_fhn.network import Network

GENERATOR = np.random.default_rng(11)
IMAGES = GENERATOR.normal(3.0, 2.0, (90, 6))
LABELS = np.arange(90) % 3


def fitted(model: Any, labels: Any = LABELS, images: Any = IMAGES) -> Any:
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(images, labels)


def mlp(activation: str = "tanh", sizes: tuple[int, ...] = (8,), **options: Any) -> MLPClassifier:
    return MLPClassifier(sizes, activation=activation, random_state=1, max_iter=20, learning_rate_init=0.05, **options)


def dumped(path: Path, model: Any, **options: Any) -> Path:
    skops.io.dump(model, path, **options)
    return path


def network(path: Path, **options: Any) -> Network:
    return weights.to_network(weights.read(path), **options)


def centred(scores: Any) -> Any:
    """What of scores is left in the shares of softmax."""
    return scores - scores.mean(axis=1, keepdims=True)


def check(net: Network, model: Any, images: Any = IMAGES) -> None:
    """Compare scores with the logarithms of scikit-learn's probabilities, and the classes."""
    expected = centred(np.log(model.predict_proba(images)))
    scores = net.forward(images, ceilings=False)
    np.testing.assert_allclose(centred(scores), expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(model.classes_[scores.argmax(axis=1)], model.predict(images))


@pytest.mark.parametrize(
    ("activation", "sizes", "unit"),
    [("tanh", (8,), "tanh"), ("logistic", (8, 7), "sigmoid"), ("relu", (9, 8, 7), "relu")],
)
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_classifier(activation: str, sizes: tuple[int, ...], unit: str, compression: int, tmp_path: Path) -> None:
    model = fitted(mlp(activation, sizes))
    net = network(
        dumped(tmp_path / "net.skops", model, compression=compression), ceilings=50.0 if unit == "relu" else None
    )
    assert (net.layer_sizes, net.hidden) == ((6, *sizes, 3), unit)
    check(net, model)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    trained = weights.read(dumped(tmp_path / "net.skops", fitted(mlp())))
    assert (trained.format, trained.input_range, trained.hidden) == ("skops file", None, "tanh")
    assert trained.notes == ("softmax of the outputs left out: the largest stays the largest",)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_precision(dtype: type, tmp_path: Path) -> None:
    images = IMAGES.astype(dtype)
    model = fitted(mlp("logistic"), images=images)
    assert model.coefs_[0].dtype == dtype
    check(network(dumped(tmp_path / "net.skops", model)), model, images)


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
def test_optimiser_and_early_stopping_do_not_matter(solver: str, tmp_path: Path) -> None:
    model = fitted(mlp(solver=solver, early_stopping=solver != "lbfgs"))
    check(network(dumped(tmp_path / "net.skops", model)), model)


def test_two_classes_are_one_output_that_becomes_two(tmp_path: Path) -> None:
    model = fitted(mlp(), LABELS > 0)
    trained = weights.read(dumped(tmp_path / "net.skops", model))
    assert trained.weights[-1].shape == (8, 2)
    assert any("read as two classes" in note for note in trained.notes)
    check(weights.to_network(trained), model)


@pytest.mark.parametrize(
    ("classes", "note"),
    [
        (np.array([0.0, 1.0, 2.0]), None),
        (np.array([1, 2, 3]), "0: 1, 1: 2, 2: 3"),
        (np.array(["cat", "dog", "emu"]), "0: 'cat', 1: 'dog', 2: 'emu'"),
        (np.array(["cat", "dog", "emu"], dtype=object), "0: 'cat', 1: 'dog', 2: 'emu'"),
    ],
    ids=["floats", "from 1", "text", "objects"],
)
def test_classes_are_said_where_they_are_not_numbered(classes: Any, note: str | None, tmp_path: Path) -> None:
    model = fitted(mlp(), classes[LABELS])
    trained = weights.read(dumped(tmp_path / "net.skops", model))
    told = [text for text in trained.notes if "the classes are numbered" in text]
    assert [text.partition("numbers: ")[2] for text in told] == ([] if note is None else [note])
    check(weights.to_network(trained), model)


@pytest.mark.parametrize(
    "scalers",
    [
        (StandardScaler(),),
        (StandardScaler(with_mean=False),),
        (StandardScaler(with_std=False),),
        (MinMaxScaler(),),
        (MinMaxScaler((-1.0, 1.0)), StandardScaler()),
        ("passthrough", StandardScaler()),
        (make_pipeline(StandardScaler(), MinMaxScaler()),),
    ],
    ids=["standard", "no mean", "no deviation", "range", "both", "passthrough", "nested"],
)
def test_scalers_are_taken_into_the_first_layer(scalers: tuple[Any, ...], tmp_path: Path) -> None:
    steps = [(f"step{k}", step) for k, step in enumerate((*scalers, mlp("logistic")))]
    model = fitted(Pipeline(steps))
    trained = weights.read(dumped(tmp_path / "net.skops", model))
    assert any(note.startswith(("StandardScaler", "MinMaxScaler")) for note in trained.notes)
    ranged = isinstance(scalers[0], MinMaxScaler)
    assert trained.input_range == ((IMAGES.min(), IMAGES.max()) if ranged else None)
    net = weights.to_network(trained, input_range=None if ranged else (-10.0, 10.0))
    check(net, model)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: fitted(LogisticRegression()), "holds a LogisticRegression; expected a fitted MLPClassifier, or"),
        (lambda: fitted(MLPRegressor(hidden_layer_sizes=(4,), max_iter=3)), "holds a MLPRegressor; expected"),
        (lambda: fitted(make_pipeline(StandardScaler(), LogisticRegression())), "holds a LogisticRegression; expected"),
        (lambda: fitted(make_pipeline(Normalizer(), mlp())), "Normalizer in front of the layers; expected"),
        (lambda: fitted(make_pipeline(PolynomialFeatures(), mlp())), "PolynomialFeatures in front of the layers"),
        (lambda: fitted(make_pipeline(MinMaxScaler(clip=True), mlp())), "MinMaxScaler clips its values"),
        (lambda: fitted(make_pipeline(StandardScaler())), "holds a StandardScaler; expected"),
        (mlp, "MLPClassifier without coefs_; expected a fitted one"),
        (
            lambda: make_pipeline(StandardScaler(), fitted(mlp())),
            "StandardScaler without scale_; expected a fitted one",
        ),
        (lambda: fitted(mlp("identity")), "holds 1 linear layers with "),
        (lambda: fitted(mlp(), np.eye(3)[LABELS]), "MLPClassifier with 3 logistic outputs, of which several may be"),
        (lambda: {"model": 3}, "holds {'model': 3}; expected a fitted classifier of scikit-learn"),
        (lambda: [fitted(mlp())], "expected a fitted classifier of scikit-learn"),
    ],
)
def test_other_models_are_refused_by_name(make: Callable[[], Any], said: str, tmp_path: Path) -> None:
    assert said in refusal(dumped(tmp_path / "net.skops", make()))


def rewritten(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The file with another schema."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(members["schema.json"])
    change(schema)
    members["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def attributes(schema: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = schema["content"]["content"]
    return content


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.update(__module__="mine"), "MLPClassifier is no class of scikit-learn (mine)"),
        (lambda s: s.update(__loader__="FunctionNode"), "(loaded as 'FunctionNode'); expected plain values"),
        (lambda s: attributes(s)["coefs_"]["content"].pop(), "expected (n_in, n_out) and (n_out,) for each layer"),
        (lambda s: attributes(s)["intercepts_"]["content"].reverse(), "expected (n_in, n_out) and (n_out,) for each"),
        (lambda s: attributes(s)["coefs_"]["content"].clear(), "coefs_ have shapes []"),
        (lambda s: attributes(s)["coefs_"].update(__loader__="OperatorFuncNode"), "(loaded as 'OperatorFuncNode')"),
        (lambda s: attributes(s).update(coefs_=attributes(s)["activation"]), "coefs_ of MLPClassifier is 'tanh'; exp"),
        (lambda s: attributes(s)["activation"].update(content='"gelu"'), ""),
        (lambda s: attributes(s)["coefs_"]["content"][0].update(file="../x.npy"), "'../x.npy' is not in it"),
        (lambda s: s.pop("content"), "is damaged or no weight file"),
        (lambda s: attributes(s)["activation"].update(content="{"), "cannot be read as JSON"),
    ],
)
def test_strange_schemas_are_refused(change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path) -> None:
    path = rewritten(dumped(tmp_path / "net.skops", fitted(mlp())), change)
    if said:
        assert said in refusal(path)
    else:
        with pytest.raises(InputError, match="hidden activation 'gelu' falls and rises again"):
            network(path)


def test_nothing_that_a_file_names_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dumped(tmp_path / "net.skops", fitted(mlp()))
    rewritten(
        path,
        lambda s: attributes(s).update(payload=json.loads(json.dumps(s)) | {"__module__": "os", "__class__": "system"}),
    )
    for module, name in ((importlib, "import_module"), (pickle, "loads"), (pickle, "load")):
        monkeypatch.setattr(module, name, None)
    assert weights.read(path).hidden == "tanh"


def test_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = dumped(tmp_path / "net.skops", fitted(mlp())).read_bytes()
    path = tmp_path / "cut.skops"
    for length in range(0, len(whole), max(1, len(whole) // 97)):
        path.write_bytes(whole[:length])
        assert str(path) in refusal(path)
