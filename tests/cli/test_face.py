"""What the command line has beside its commands: the first page, its version, `--quiet`, completion in the shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from command_line import run

import analog_fhn
from analog_fhn import cli
from analog_fhn.backends import BACKENDS
from analog_fhn.cli import completion, console
from analog_fhn.cli.welcome import FIRST

COMMANDS = list(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]


def test_alone_it_shows_five_commands() -> None:
    status, out, err = run()
    assert (status, err, len(FIRST)) == (0, "", 5)
    assert all(command in out for command, _ in FIRST)
    assert {shlex.split(command)[1] for command, _ in FIRST} < set(COMMANDS)


def test_the_five_commands_work_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, *others = (shlex.split(command)[1:] for command, _ in FIRST)  # doctor runs in test_cli
    for words in others:
        status, out, err = run(*words)
        assert (status, err) == (0, ""), words
        assert out


def test_help_has_a_whole_line_for_each_command_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run("--help")
    listed = out.partition("Commands:\n")[2].splitlines()
    assert status == 0
    assert [line.split()[0] for line in listed] == COMMANDS
    assert all(len(line) <= 80 and line.endswith((".", "?")) and not line.endswith("...") for line in listed), out


def test_version() -> None:
    assert run("--version") == (0, f"analog-fhn {analog_fhn.__version__}\n", "")


@pytest.mark.parametrize("place", ["before the command", "behind it"])
def test_quiet_leaves_results_out_of_remarks(place: str, tmp_path: Path) -> None:
    words = ["design", "--technology", "discrete", "-o", tmp_path]
    _, usual, _ = run(*words)
    _, quiet, _ = run("--quiet", *words) if place == "before the command" else run(*words, "--quiet")
    assert usual == f"{quiet}written: {tmp_path / 'neuron_parts.csv'}\n"
    assert "technology discrete" in quiet


def test_quiet_leaves_errors(tmp_path: Path) -> None:
    status, out, err = run("--quiet", "classify", tmp_path / "absent.npz", "--dataset", "digits")
    assert (status, out) == (2, "")
    assert "absent.npz" in err


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_is_for_terminals_and_not_with_quiet(
    quiet: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> str:
        with console.progress_bar("images") as bar:
            bar(3, 12)
        with console.working("wires", expected=30.0):
            pass
        return capsys.readouterr().err

    console.be_quiet(quiet)
    assert shown() == ""
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # a terminal, as Rich is told
    seen = shown()
    console.be_quiet(False)
    assert ("3/12" in seen, "wires (about 30 s)" in seen) == (not quiet, not quiet)


def completed(shell: str, line: str, folder: Path) -> list[str]:
    """What a shell is told about the last word of a line, by the protocol of its completion script."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    variables = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-m", "analog_fhn"], capture_output=True, text=True, check=True, cwd=folder,
        env=os.environ | variables | {
            "_ANALOG_FHN_COMPLETE": f"complete_{shell}", "PYTHONPATH": str(Path(analog_fhn.__file__).parents[1]),
        },
    )  # fmt: skip
    return done.stdout.splitlines()


def test_shells_complete_commands_options_and_values(tmp_path: Path) -> None:
    (tmp_path / "mine.npz").touch()
    (tmp_path / "mine.yaml").touch()
    assert completed("bash", "analog-fhn cl", tmp_path) == ["classify"]
    names = ["discrete", "memristive", "silicon", "sky130", "mine.yaml"]
    assert completed("bash", "analog-fhn classify net.npz --technology ", tmp_path) == names
    assert completed("fish", "analog-fhn train --dataset m", tmp_path) == ["mnist", "mine.npz"]
    (zsh,) = completed("zsh", "analog-fhn classify net.npz --backend sp", tmp_path)
    assert '"spice"' in zsh
    assert completed("zsh", "analog-fhn classify n", tmp_path) == ["_files"]  # the shell's own completion of files


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_its_script(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ANALOG_FHN_COMPLETE", f"source_{shell}")
    status, out, _ = run()
    assert status == 0
    assert "_ANALOG_FHN_COMPLETE=complete_" + shell in out


def test_completed_backends_are_all_there_are() -> None:
    assert {*completion.backend_names()} == {*BACKENDS, "twin"}


def test_completion_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['analog-fhn']\n"
        "from analog_fhn.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'numba', 'jax', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)), file=sys.stderr)"
    )
    environment = {
        "_ANALOG_FHN_COMPLETE": "complete_bash",
        "COMP_WORDS": "analog-fhn train --technology d",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    assert (done.stdout, done.stderr) == ("discrete\n", "[]\n")
