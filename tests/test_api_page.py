"""The page "Python": every public name has its paragraph and its example there, and the examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import analog_fhn as af

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
PROSE = re.sub(r"```python\n.*?```", "", PAGE, flags=re.DOTALL)


@pytest.mark.parametrize("name", af.__all__)
def test_every_public_name_is_told_of_and_shown(name: str) -> None:
    assert re.search(rf"`(af\.)?{name}(\.\w+)?`", PROSE), f"{name} has no paragraph"
    assert name.endswith("Error") or any(re.search(rf"\baf\.{name}\b", block) for block in BLOCKS)


def test_every_public_name_can_be_had() -> None:
    assert all(getattr(af, name) is not None for name in af.__all__)
    assert dir(af) == sorted(af.__all__)


def test_their_number_is_that_of_the_page_beside_others() -> None:
    page = (Path(__file__).parents[1] / "docs" / "explanation" / "beside_others.md").read_text(encoding="utf-8")
    assert f"| {len(af.__all__)} in one namespace, in six groups |" in page


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'classifier'"):
        af.classifier  # type: ignore[attr-defined]  # noqa: B018


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/api.md, example {number}", "exec"), namespace)
    assert (tmp_path / "chips.html").is_file()
    assert (tmp_path / "netlists" / "scores.txt").is_file()
