"""A living neuron in the network: a patch-clamp recording, its f-I curve, its twin, and digits read through both."""

import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # A living neuron in the network

    A hidden unit takes a number and gives one. So does a neuron in a brain slice: what it takes is a current through a
    pipette, and what it gives is how often it spikes. This page takes one recorded neuron the whole way, from the
    amplifier's file to a network that reads digits with it: its f-I curve, a model with eleven numbers beside it, a
    **twin** that learned from the recording and runs by itself, and how long one has to count its spikes.

    It needs `pip install "analog-fhn[recordings,train,data,plots,tables,notebooks]"` and takes about four minutes.
    """)
    return


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## The recording

    What you see here is `171116sh_0018.abf` from the test data of [pyABF](https://github.com/swharden/pyABF) (S. W.
    Harden, MIT licence): a cortical neuron in a slice, whole-cell, under steps of current. It was made for other work;
    no animal was used for this page. Put the path of your own file into `ANALOG_FHN_RECORDING`, or into the cell below.
    It has to be current clamp, in sweeps of one length, with steps of at least four currents, and better a dozen.

    Without a file the notebook still runs, on sweeps of a *simulated* neuron (Izhikevich's regular spiking cell). That
    is no living one, however well it does, and the titles of all pictures say so.
    """)
    return


@app.cell
def _():
    import os

    import numpy as np

    import analog_fhn as af
    from analog_fhn.reconstruct.recordings.clamp_files import read_current_clamp
    from analog_fhn.reconstruct.recordings.current_clamp import CurrentClamp, steps_of

    def simulated():
        """0.5 s of -40 to 240 pA each (E. M. Izhikevich, Dynamical Systems in Neuroscience, 2007, section 8.2.1)."""
        step, samples = 0.05, 16_000  # ms, and how many
        amplitudes = np.arange(-40.0, 260.0, 20.0)  # pA
        v, u = np.full(len(amplitudes), -60.0), np.zeros(len(amplitudes))
        voltage, current = np.empty((2, len(amplitudes), samples))
        for k in range(samples):
            current[:, k] = amplitudes if 3_000 <= k < 13_000 else 0.0
            v += step * (0.7 * (v + 60) * (v + 40) - u + current[:, k]) / 100
            u += step * 0.03 * (-2 * (v + 60) - u)
            voltage[:, k] = np.minimum(v, 35.0)
            u[v > 35], v[v > 35] = u[v > 35] + 100, -50.0
        sweeps = tuple(1e-12 * current)
        return CurrentClamp(tuple(1e-3 * voltage), sweeps, 1e-3 * step, steps_of(sweeps, 200), "SIMULATED neuron")

    path = os.environ.get("ANALOG_FHN_RECORDING")  # or path = "your_cell.abf"
    clamp = read_current_clamp(path) if path else simulated()
    "\n".join([clamp.source, *clamp.report])
    return af, clamp, np


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The channel was chosen by its unit, and the steps come from the protocol that the amplifier keeps in the file. What
    the neuron did:
    """)
    return


@app.cell
def _(clamp):
    from analog_fhn.reconstruct.judge.clamp_pictures import judged_curves, step_sheet
    from analog_fhn.reconstruct.steps import step_responses, threshold

    responses = step_responses(clamp)
    step_sheet(clamp, responses)
    return judged_curves, responses, threshold


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Two readers look at this picture. To a physiologist the lower left is the **f-I curve**, with its threshold and its
    slope, and the lower right is **spike-frequency adaptation**. To an engineer the lower left is an activation
    function, a softened relu with a dead zone, and the lower right says how long the unit takes to settle. In numbers
    (the first step of each sweep; times in ms):
    """)
    return


@app.cell
def _(responses, threshold):
    import pandas as pd

    first = [r for r in responses if r.step.number == 0]
    between = threshold(first)
    rows = [
        {
            "current (pA)": round(1e12 * r.step.amplitude),
            "spikes": len(r.spikes),
            "per second": r.rate,
            "latency": 1e3 * r.latency,
            "first interval": 1e3 * (r.first_interval or float("nan")),
            "last interval": 1e3 * (r.last_interval or float("nan")),
        }
        for r in sorted(first, key=lambda r: r.step.amplitude)
        if len(r.spikes)
    ]
    pd.DataFrame(rows).set_index("current (pA)")
    return between, pd


@app.cell
def _(between):
    silent = "at no current" if between.silent is None else f"up to {1e12 * between.silent:g} pA"
    f"silent {silent}, spikes from {1e12 * between.spiking:g} pA"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Two models, and what they are not shown

    Before anything is fitted, about a quarter of the currents is set aside, by a rule that looks at nothing but the
    list of currents. Nothing below has seen these:
    """)
    return


@app.cell
def _(clamp):
    "held out: " + ", ".join(f"{1e12 * current:g}" for current in clamp.held_out) + " pA"
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The **baseline** is an adaptive exponential integrate-and-fire neuron: eleven numbers, which a search finds from the
    times of the spikes. The **twin** is a small network that learns, from voltage and current together, what the
    membrane does in the next quarter of a millisecond; then it runs by itself. Each is one line, and one integer, the
    seed, decides everything in it.
    """)
    return


@app.cell
def _(clamp):
    from analog_fhn.reconstruct.adex import fit_adex
    from analog_fhn.reconstruct.driven.pipeline import reconstruct_driven

    baseline = fit_adex(clamp, seed=0, generations=40)
    rebuilt = reconstruct_driven(clamp, seed=1)
    twin = rebuilt.twin
    return baseline, rebuilt, twin


@app.cell
def _(clamp, rebuilt):
    from analog_fhn.reconstruct.driven.pictures import held_out_waveforms

    held_out_waveforms(rebuilt.held, f"{clamp.source}, currents that the twin was not shown")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Black is the recorded cell, red the twin, which starts from the cell's state 50 ms before the step and is given
    nothing but the current from then on. Left is the first step of a sweep, right the second, which comes after a
    hyperpolarising pulse. The spikes are about as many as they should be, some come at other times, and they are
    too high. Counting them in every step:
    """)
    return


@app.cell
def _(baseline, clamp, judged_curves, rebuilt):
    models = {
        "twin": {run.step: len(run.times) for run in (*rebuilt.held, *rebuilt.others)},
        "integrate-and-fire": {step: len(baseline.spikes(clamp, step)) for step in clamp.steps},
    }
    judged_curves(clamp, models, clamp.held_out, clamp.source)
    return


@app.cell
def _(baseline, clamp, pd, rebuilt):
    judged = [
        {
            "current (pA)": round(1e12 * run.step.amplitude),
            "step": run.step.number + 1,
            "spikes": len(run.recorded_times),
            "twin": len(run.times),
            "integrate-and-fire": len(baseline.spikes(clamp, run.step)),
        }
        for run in sorted(rebuilt.held, key=lambda run: (run.step.amplitude, run.step.number))
    ]
    pd.DataFrame(judged).set_index("current (pA)")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The rule was fixed beforehand, too: one spike or 15 %, whichever is more, and silence where the neuron is silent. A
    model that counts well need not be a good model. The integrate-and-fire neuron counts about as well as the twin and
    has no waveform at all. And the training of a twin is chaotic: six maps are made, of which some may hardly spike,
    and the one that does best in the steps that it was trained on is kept
    ([the page about it](../living.md) has ten seeds of two cells).

    ## As a hidden unit

    Now the network: 16 sigmoid units that read handwritten digits. The range of a unit's drive is laid on the currents
    from threshold to the largest recorded one, and the rate of spikes takes the place of the sigmoid. First the
    measured curve alone, with the weights as they were, and after training further with the curve in the forward pass:
    """)
    return


@app.cell
def _(af, twin):
    from analog_fhn.reconstruct.driven.backend import SECONDS_PER_T, LivingNeurons
    from analog_fhn.reconstruct.driven.curve import responses as curve_of
    from analog_fhn.training.circuit import Inside, train_fhn

    train, test = af.load_data("digits", "train"), af.load_data("digits", "test")
    plain = af.train_plain(train, n_hidden=16, epochs=40).network(train.scale).with_options(gamma=-0.9)
    curve = LivingNeurons((twin,), "curve")
    inside = Inside(fhn=plain.fhn, responses=curve_of(curve, plain.fhn, plain.protocol))
    network = train_fhn(train, inside=inside, start=plain, epochs=10, seed=0).network(train.scale)
    found = [af.classify(one, test.images, backend=curve).accuracy(test.labels) for one in (plain, network)]
    f"plain network {plain.accuracy(test.images, test.labels):.1%}; with the cell's curve in place of the sigmoid " + (
        f"{found[0]:.1%}, trained with it {found[1]:.1%}"
    )
    return LivingNeurons, SECONDS_PER_T, found, network, test


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The curve is an average over half a second, and knows nothing of time. The twin does. For every image all of the
    hidden units are run, from rest; after 0.1 s their spikes are counted, for as long as the **window** lasts:
    """)
    return


@app.cell
def _(LivingNeurons, SECONDS_PER_T, af, network, test, twin):
    neurons = LivingNeurons((twin,), "rate")
    windows = [0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0]  # s
    accuracies = []
    for window in windows:
        timed = network.with_options(settle=0.1 / SECONDS_PER_T, control=window / SECONDS_PER_T)
        accuracies.append(af.classify(timed, test.images, backend=neurons).accuracy(test.labels))
    return accuracies, neurons, windows


@app.cell
def _(accuracies, clamp, found, np, windows):
    from matplotlib import pyplot as plt

    axes = plt.figure(figsize=(6.4, 3.8), layout="constrained").add_subplot()
    axes.plot(windows, 100 * np.array(accuracies), "o-", color="#0b6e99", label="the twin's spikes, counted")
    axes.axhline(100 * found[1], ls=":", color="#5c6b73", label="the measured f-I curve")
    axes.axvline(0.4, color="#5c6b73", lw=6, alpha=0.2, label="end of a recorded step, 0.5 s after its beginning")
    axes.set_xscale("log")
    axes.set_xticks(windows, [f"{window:g}" for window in windows])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="window in which spikes are counted (s)", ylabel="digits read right (%)", title=clamp.source)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes
    return (plt,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Spikes are whole numbers. A window tells apart as many currents as it has different counts between threshold and
    the largest current, and short windows have few:
    """)
    return


@app.cell
def _(clamp, neurons, plt, twin):
    from analog_fhn.reconstruct.driven.backend import counts

    amps = neurons.currents(0)
    voltage = twin.run(2.1, amps)
    steps = plt.figure(figsize=(6.4, 3.8), layout="constrained").add_subplot()
    for seconds, colour in ((0.1, "#cf4a5c"), (0.3, "#e69500"), (2.0, "#0b6e99")):
        counted = counts(voltage[:, round(0.1 / twin.step) : round((0.1 + seconds) / twin.step)])
        steps.plot(1e12 * amps, counted / seconds, color=colour, lw=1.2, label=f"twin, {seconds:g} s")
    steps.plot(1e12 * twin.currents, twin.rates, "o", color="#1b2730", ms=4, label="recorded, steps of 0.5 s")
    steps.set(xlim=1e12 * amps[[0, -1]], xlabel="injected current (pA)", ylabel="spikes per second", title=clamp.source)
    steps.legend(frameon=False, fontsize=8, loc="upper left")
    steps
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    In 0.1 s the curve is a staircase of two or three steps, and it even goes down, where with more current a spike
    comes before the window begins. In 2 s it is nearly a line, lower than the recorded one, because a neuron that
    adapts spikes most at the beginning. And beyond the half second that was recorded a twin extrapolates: this one goes
    on as it was. Another cell's twin falls silent there, and its network with it. Whether the living neuron would, only
    a longer recording can say.

    ## What next

    - [Put a living neuron into the network](../living.md): both cells, all seeds, MNIST, and what does not work.
    - `analog-fhn record --info FILE --picture P.png` and `analog-fhn reconstruct FILE.abf -o twin.npz` do the same at
      the terminal; `rebuilt.twin.save("twin.npz")` keeps this one.
    - [Ten minutes](ten_minutes.md): the neurons that are built, not grown.
    """)
    return


if __name__ == "__main__":
    app.run()
