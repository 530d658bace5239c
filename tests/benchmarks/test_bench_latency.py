"""How long the live page takes from a key to a picture, beside the library's own time for the same numbers.

784-100-10 on MNIST: waveform of one neuron, accuracy on 1 000 images; the page in Chromium. Board and, with a
foundry's models, silicon.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import threading
import time

import chromium
import numpy as np
import pytest
import silicon

import analog_fhn as af
from analog_fhn.bench.answers.accuracy import accuracy
from analog_fhn.bench.answers.waveform import waveform
from analog_fhn.bench.bench import Bench
from analog_fhn.bench.server import Server, listening
from analog_fhn.bench.work import Watch
from analog_fhn.data import load
from analog_fhn.training.plain import train_plain

TURNS = 12
READY = "body[data-ready]:not([data-ready=no])"


def in_the_library(network: af.Network, data: af.Dataset, gammas: list[float]) -> list[float]:
    """Seconds of a new design, its chip, tables and 1 000 images, as a script has them."""
    seconds = []
    for gamma in gammas:
        start = time.perf_counter()
        chip = af.Design(network.with_options(gamma=gamma), "discrete").chip(1)
        af.classify(chip, data.images[:1000], table=9)
        seconds.append(time.perf_counter() - start)
    return seconds


def milliseconds(page, place):
    """What the page says that its last answer took."""
    return float("".join(filter(str.isdigit, page.inner_text(f"[data-took={place}]"))))


def mnist_bench():
    """The bench of a network of MNIST."""
    train, test = load("mnist", "train").head(10_000), load("mnist", "test")
    network = train_plain(train, n_hidden=100, epochs=2).network(train.scale)
    return Bench(network, test, {"network": "net.npz", "dataset": "mnist", "data": None})


def processor_time():
    """Seconds of all cores that this process and the programs that it ran have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def costs(bench, **knobs):
    """Processor time (s) of a waveform, chip included, and then of an accuracy on 1 000 images."""
    state, watch = bench.state(knobs), Watch()
    start = processor_time()
    waveform(bench, state, watch)
    middle = processor_time()
    *_, _ = accuracy(bench, state, watch)
    return middle - start, processor_time() - middle


@pytest.mark.slow
def test_what_a_knob_costs():
    bench = mnist_bench()
    costs(bench, chip=1)
    runs = {"board, gamma": [costs(bench, chip=1, gamma=-0.5 - 0.05 * k) for k in range(8)]}
    if not silicon.needs_models.args[0]:
        runs["silicon, another chip"] = [costs(bench, technology="silicon", chip=k) for k in (1, 2, 3)][1:]
        wires = [{"technology": "silicon", "chip": 3, "values": {"array.wires.word": 0.5 + 0.1 * k}} for k in (1, 2)]
        runs["silicon, other arrays"] = [costs(bench, **knobs) for knobs in wires]
    print(f"\nload {os.getloadavg()[0]:.1f}; processor time: waveform with its chip, accuracy on 1 000 images")
    for name, seconds in runs.items():
        first, second = (1e3 * float(np.median(part)) for part in zip(*seconds, strict=True))
        print(f"{name:24} {first:6.0f} ms {second:6.0f} ms")
    first, second = np.median(runs["board, gamma"], axis=0)
    assert first < 0.2
    assert first + second < 0.5


@contextlib.contextmanager
def opened(hash_=""):
    """The page in a browser, with network and images."""
    bench = mnist_bench()
    with listening(0) as place, chromium.started() as browser:
        server = Server(bench, place)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(server.address + hash_)
            page.wait_for_selector(READY, timeout=300_000)
            yield page, bench.network, bench.dataset
            page.close()
        finally:
            server.stop()
            thread.join()


@pytest.mark.slow
def test_a_knob_is_answered_at_once():
    waveforms, accuracies, library = [], [], []
    with opened() as (page, network, test):
        page.focus("#k-gamma")
        for turn in range(TURNS):
            gamma = f"{-0.95 + 0.05 * turn:.4g}"
            page.keyboard.press("ArrowRight")
            page.wait_for_selector(f'{READY}[data-ready*="gamma={gamma}"]')
            waveforms.append(milliseconds(page, "waveform"))
            accuracies.append(milliseconds(page, "accuracy"))
            library += in_the_library(network, test, [float(gamma) - 0.01])
    print(f"\nload {os.getloadavg()[0]:.1f}; from a key to the picture, {TURNS} turns: median, worst")
    for name, values in (("waveform", waveforms), ("accuracy on 1 000 images", accuracies)):
        print(f"{name:28} {statistics.median(values):5.0f} ms {max(values):5.0f} ms")
    own = 1e3 * statistics.median(library)
    print(f"{'the library alone, accuracy':28} {own:5.0f} ms {1e3 * max(library):5.0f} ms")
    # Three smaller sets of images besides, one neuron's waveform before, and drawing.
    assert np.median(accuracies) < 4.0 * own + 100.0
    assert np.median(waveforms) < np.median(accuracies)


@silicon.needs_models
@pytest.mark.slow
def test_a_chip_of_transistors_takes_longer_once():
    with opened("#technology=silicon&chip=1") as (page, _, _):
        print(f"\nload {os.getloadavg()[0]:.1f}; silicon: waveform, accuracy on 1 000 images")
        print(f"first chip     {milliseconds(page, 'waveform'):6.0f} ms {milliseconds(page, 'accuracy'):6.0f} ms")
        page.click("#chip-after")
        page.wait_for_selector(f"{READY}[data-ready*='chip=2']", timeout=300_000)
        first = milliseconds(page, "accuracy")
        print(f"another chip   {milliseconds(page, 'waveform'):6.0f} ms {first:6.0f} ms")
        page.focus("#k-array-wires-word")
        page.keyboard.press("ArrowRight")
        page.wait_for_selector(f"{READY}[data-ready*='word']", timeout=300_000)
        again = milliseconds(page, "accuracy")
        print(f"other arrays   {milliseconds(page, 'waveform'):6.0f} ms {again:6.0f} ms")
    assert again < 0.6 * first  # the neurons' tables are those from before
