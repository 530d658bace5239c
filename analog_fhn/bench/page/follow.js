// One image on its way: pixels, what each hidden layer hands on, scores.

import { grey, raster, viridis } from "./colour.js";
import { Axes, draw, element } from "./draw.js";
import { make } from "./knobs.js";
import { plain } from "./format.js";

// at: hidden layer and neuron that are shown oscillating; choose: called with others.
export function showWay(answer, at, choose) {
  const right = answer.answer === answer.label;
  document.getElementById("follow-said").textContent =
    `class ${answer.label}; the chip answers ${answer.answer}${right ? "" : " (wrong)"}, the plain network ${answer.plain_answer}`;
  const arrow = () => make("span", { className: "arrow", textContent: "→", ariaHidden: "true" });
  const steps = [pixels(answer)];
  answer.layers.forEach((layer, number) => steps.push(arrow(), hidden(layer, number, answer.layers.length, at, choose)));
  steps.push(arrow(), scores(answer));
  document.getElementById("way").replaceChildren(...steps);
}

function pixels({ pixels: values, shape: [lines, places, channels], range }) {
  const first = channels === 1 ? values : values.filter((_, k) => k % channels === 0);
  const canvas = scaled(raster(first, places, lines, ...range, grey), Math.max(1, Math.floor(150 / Math.max(lines, places))));
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `The image, ${lines} x ${places} pixels`);
  return make("figure", {}, make("figcaption", { textContent: `pixels, ${lines} × ${places}` }), canvas);
}

// Enlarged by a whole number, so that pixels stay squares.
function scaled(canvas, factor) {
  const large = document.createElement("canvas");
  large.width = canvas.width * factor; large.height = canvas.height * factor;
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return large;
}

function hidden(layer, number, n, [shown, chosen], choose) {
  const { channels, lines, places, values, low, high } = layer;
  const dense = lines * places === 1, across = Math.ceil(Math.sqrt(channels));
  const down = Math.ceil(channels / across), gap = dense ? 0 : 1;
  const wide = across * (places + gap) - gap, tall = down * (lines + gap) - gap;
  const tiles = document.createElement("canvas");
  tiles.width = wide; tiles.height = tall;
  const context = tiles.getContext("2d");
  if (dense) context.drawImage(raster(values, across, down, low, high, viridis), 0, 0);
  else for (let k = 0; k < channels; k++) {
    const tile = raster(values.slice(k * lines * places, (k + 1) * lines * places), places, lines, low, high, viridis);
    context.drawImage(tile, (k % across) * (places + 1), Math.floor(k / across) * (lines + 1));
  }
  const factor = Math.max(1, Math.floor((dense ? 160 : 300) / Math.max(wide, tall)));
  const canvas = scaled(tiles, factor), cell = [(places + gap) * factor, (lines + gap) * factor];
  if (shown === number) {
    const pen = canvas.getContext("2d");
    pen.strokeStyle = "#ff9d00"; pen.lineWidth = 2.5;
    pen.strokeRect((chosen % across) * cell[0] + 1, Math.floor(chosen / across) * cell[1] + 1, cell[0] - 2, cell[1] - 2);
  }
  canvas.className = "pick";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Activations of hidden layer ${number + 1}, from ${plain(low)} to ${plain(high)}: ${values.slice(0, 12).map((one) => plain(one, 3)).join(", ")}${values.length > 12 ? ", ..." : ""}`);
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * canvas.width / cell[0]);
    const k = Math.floor(((event.clientY - box.top) / box.height) * canvas.height / cell[1]) * across + column;
    return column < across && k < channels ? k : undefined;
  };
  canvas.addEventListener("click", (event) => { const k = under(event); if (k !== undefined) choose(number, k); });
  canvas.addEventListener("pointermove", (event) => {
    const k = under(event);
    canvas.title = k === undefined ? "" : `neuron ${k}${dense ? `: ${plain(values[k])}` : ""}; click to see it oscillate`;
  });
  const name = n === 1 ? "hidden layer" : `hidden layer ${number + 1}`;
  const size = dense ? `${channels} neurons` : `${channels} channels of ${lines} × ${places}`;
  return make("figure", {}, make("figcaption", { textContent: `${name}, ${size} (${layer.unit})` }), canvas, key(low, high));
}

// Colours from low to high.
function key(low, high) {
  const bar = raster(Float32Array.from({ length: 64 }, (_, k) => k), 64, 1, 0, 63, viridis);
  bar.style.width = "6rem"; bar.style.height = "0.5rem";
  bar.setAttribute("aria-hidden", "true");
  const line = make("figcaption", {}, `${plain(low)} `, bar, ` ${plain(high)}`);
  bar.style.display = "inline-block"; bar.style.verticalAlign = "middle"; line.style.marginTop = "0.35rem";
  return line;
}

function scores(answer) {
  const vote = answer.readout === "vote", place = make("div", { className: "plot" });
  draw(place, (width) => bars(width, answer, vote));
  return make("figure", { className: "scores" }, make("figcaption", { textContent: vote ? "scores: share of the window in which each class leads" : "scores" }), place);
}

function bars(width, { scores: chip, plain_scores: ideal, label, answer }, vote) {
  const rows = chip.length, tall = Math.max(15, Math.min(22, 330 / rows)), every = vote ? chip : [...chip, ...ideal];
  const low = Math.min(0, ...every), high = Math.max(0, ...every);
  const axes = new Axes(width, rows * tall + 46, {
    x: { range: [low, high === low ? 1 : high], label: vote ? "share of the control window" : "score (orange: plain network)" },
    y: { range: [rows - 0.5, -0.5], ticks: chip.map((_, k) => k), format: (k) => (k === label ? `true: ${k}` : String(k)), label: "class" }, left: 62,
    words: `Scores of the chip: ${chip.map((one, k) => `${k}: ${plain(one, 3)}`).join(", ")}.`,
  });
  chip.forEach((value, k) => {
    const bar = axes.bar(0, value, k - 0.34, k + 0.34, k === answer ? "" : "pale");
    bar.append(element("title", {}, `class ${k}: ${plain(value)}; plain network ${plain(ideal[k])}`));
    if (!vote) axes.add("path", { class: "line second", d: `M${axes.px(ideal[k])} ${axes.py(k - 0.4)}V${axes.py(k + 0.4)}` });
  });
  axes.svg.setAttribute("id", "scores");
  return axes.svg;
}
