// One neuron: its output over time, its way through the phase plane, and its response curve.

import { Axes, draw, extent } from "./draw.js";
import { engineering, plain } from "./format.js";

export function showWaveform(answer) {
  const { time, x, mean, drive, period, rests } = answer;
  document.getElementById("neuron").value = answer.neuron;
  const place = answer.position === null ? "" : `, at the position of the image where it is driven most`;
  const rhythm = rests ? "rests" : period ? `period ${plain(period)} T (${engineering(period * answer.time_unit, "s")})` : "oscillates";
  document.getElementById("waveform-said").textContent =
    `drive I = ${plain(drive)}${place}: ${rhythm}; mean output ${plain(mean)}, identity −(a + I) ${plain(answer.identity)}`;
  const one = engineering(answer.time_unit, "s"), volt = engineering(answer.volts_per_x, "V");
  draw(document.getElementById("trace"), (width) => {
    const axes = new Axes(width, 190, {
      x: { range: [time[0], time[time.length - 1]], label: `time (T = ${one})` },
      y: { range: around([...x, mean]), label: "output" },
      title: "Waveform in the control window",
      words: `Output of neuron ${answer.neuron} over time: ${rhythm}, mean ${plain(mean)}. 1 is ${volt}.`,
    });
    axes.line(time, x);
    axes.horizontal(mean, "second thin dashed");
    if (width > 420) axes.legend([["mean", "second thin dashed"]]);
    return axes.svg;
  });
  draw(document.getElementById("phase"), (width) => phase(width, answer.phase));
}

function around(values) { const [low, high] = extent(values, 0.08); return high - low < 0.05 ? [low - 0.5, high + 0.5] : [low, high]; }

function phase(width, { x, y, rest, fast }) {
  const axes = new Axes(width, 250, {
    x: { range: extent([...x, rest[0]], 0.08), label: "x (activator)" }, y: { range: extent([...y, rest[1]], 0.3), label: "y (inhibitor)" },
    title: "Phase plane", words: `Way from the initial state, both nullclines, rest point at x = ${plain(rest[0])}, y = ${plain(rest[1])}.`,
  });
  const [low, high] = axes.y.range, within = fast.x.map((_, k) => k).filter((k) => fast.y[k] >= low && fast.y[k] <= high);
  axes.line(within.map((k) => fast.x[k]), within.map((k) => fast.y[k]), "ink thin");
  axes.vertical(rest[0], "second thin dashed");
  axes.line(x, y);
  axes.dots([x[0]], [y[0]], "", 3);
  axes.dots([rest[0]], [rest[1]], "second", 4.5);
  if (width > 335) axes.legend([["dx/dt = 0", "ink thin"], ["dy/dt = 0", "second thin dashed"]]);
  return axes.svg;
}

export function showResponse(answer) {
  const { drive, mean, identity, image_drives: at, image_means: means } = answer;
  draw(document.getElementById("curve"), (width) => {
    const axes = new Axes(width, 250, {
      x: { range: extent(drive, 0.03), label: "drive I" }, y: { range: extent([...mean, ...identity], 0.08), label: "mean output" },
      title: "Response curve",
      words: `Mean output over the drive; the shown image drives this neuron with ${at.slice(0, 5).map((one) => plain(one)).join(", ")}.`,
    });
    axes.line(drive, identity, "ink thin dashed");
    axes.line(drive, mean);
    if (drive.length < 40) axes.dots(drive, mean, "", 2.2);
    axes.dots(at, means, "second", at.length > 20 ? 2 : 4.5);
    if (width > 250) axes.legend([["−(a + I)", "ink thin dashed"]]);
    return axes.svg;
  });
}
