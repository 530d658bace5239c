"""Runs the examples of the commands' pages: `python docs/record.py [COMMAND ...]` puts what they print into the pages.

Of each page the first `bash` block is run, in a folder that all pages share, and the `text` block behind it is replaced
by what is printed; the page's own picture is copied. The keys of its JSON have to be those of the page's table.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
PAGES = DOCS / "reference" / "commands"
ORDER = [
    *("doctor", "train", "import", "classify", "compare", "design", "arrays", "export", "check-board", "frontier"),
    *("sweep", "status"),
    *("allocate", "combine", "rare", "corners", "report", "trim", "record", "reconstruct", "reproduce", "device"),
]
EXAMPLE = re.compile(r"```bash\n(.*?)```\n\n```text\n.*?```", re.DOTALL)
COMMON = {"command", "versions", "seed", "seconds"}
WIDTH = 1000  # pixels of a picture
PICTURES = {
    "compare": "out/compare/waterfall.png",
    "arrays": "out/arrays/weights.png",
    "frontier": "out/frontier/frontier.png",
    "sweep": "out/sweep/histogram.png",
    "corners": "out/corners/corners.png",
    "trim": "out/trim/accuracy.png",
    "reconstruct": "out/twin/free_runs.png",
}


def prepare(name: str, page: str) -> None:
    """Write what an example starts from: the files that its page shows, and models of other pages."""
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        file = re.match(r"# (\w+\.yaml)", block)
        if file:
            Path(file.group(1)).write_text(block)
    if name == "import":
        bring = (DOCS / "bring.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", bring, re.DOTALL)[:2]
        subprocess.run([sys.executable, "-c", "\n".join(blocks)], check=True, env=os.environ | {"KERAS_BACKEND": "jax"})
    if name == "combine":
        few = Path("many.yaml").read_text().replace("chips: 500", "chips: 10") + "backend: spice\n"
        Path("few.yaml").write_text(few)
        for run in ("few", "many"):
            analog_fhn("sweep", f"{run}.yaml", "-o", run)
    if name == "rare":
        from analog_fhn.technology.technology import Technology

        Technology.load("discrete").with_values({"sense_amplifier.offset_sigma": 3.0e-3}).save("offsets.yaml")
    if name == "device":
        Path("lot7.csv").write_text(readings())


def readings() -> str:
    """Readings of devices as `pcm` has them, in four states."""
    import numpy as np

    from analog_fhn.technology.device import Device

    pcm, rng = Device.load("pcm"), np.random.default_rng(7)
    target = np.repeat([2.5e-6, 7.5e-6, 15e-6, 22.5e-6], 30)
    error = pcm.programming_deviation(target, rng.standard_normal(target.shape), read_voltage=0.2)
    made, wander = np.maximum(target + error, 1e-7), rng.standard_normal(target.shape)
    lines = ["device,seconds,target,conductance"]
    for seconds in (0.0, 180.0, 3580.0, 86380.0):
        later = pcm.drifted(made, seconds, wander, read_voltage=0.2)
        lines += [f"{k},{seconds + 20:g},{t:g},{g:.4g}" for k, (t, g) in enumerate(zip(target, later, strict=True))]
    return "\n".join(lines) + "\n"


def analog_fhn(*arguments: str) -> str:
    """What a command prints, warnings first."""
    command = [sys.executable, "-m", "analog_fhn", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "120"})
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    said = "\n".join(line for line in done.stderr.splitlines() if re.match(r"analog-fhn:(?!.* \.\.\.$)", line))
    return (f"{said}\n" if said else "") + done.stdout.replace(f"{sys.prefix}/", ".venv/")


def check_keys(name: str, page: str, content: dict[str, object]) -> None:
    """Compare the keys of a result with those of the page's table."""
    rows = re.findall(r"^\| (`.*?`) \|", page.partition("## JSON")[2], re.MULTILINE)
    told = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    found = set(content) - COMMON
    if told != found:
        print(f"{name}: JSON: not in the page {sorted(found - told)}, only there {sorted(told - found)}", flush=True)


def record(name: str) -> None:
    """Run a page's example and write the page anew."""
    import shlex

    path = PAGES / f"{name}.md"
    page = path.read_text(encoding="utf-8")
    prepare(name, page)
    example = EXAMPLE.search(page)
    assert example is not None, name
    said = ""
    for line in example.group(1).splitlines():
        program, *arguments = shlex.split(line)
        assert program == "analog-fhn", line
        said += analog_fhn(*arguments, "--json", "result.json")
    check_keys(name, page, json.loads(Path("result.json").read_text()))
    page = page.replace(example.group(0), f"```bash\n{example.group(1)}```\n\n```text\n{said.rstrip()}\n```")
    path.write_text(page, encoding="utf-8")
    if name in PICTURES:
        shrink(Path(PICTURES[name]), DOCS / "images" / "commands" / f"{name}.png")


def shrink(source: Path, target: Path, width: int = WIDTH) -> None:
    """Copy a picture, not wider than the page and of few colours."""
    image = Image.open(source).convert("RGB")
    if image.width > width:
        image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
    image.quantize(128, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    names = sys.argv[1:] or ORDER
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(os.environ.get("ANALOG_FHN_RECORD", folder))
        for one in names:
            print(one, flush=True)
            record(one)
