// Conductances of the arrays' devices as maps, their scale, and one device in words.

import { raster, viridis } from "./colour.js";
import { Axes, draw } from "./draw.js";
import { engineering, grouped } from "./format.js";
import { make } from "./knobs.js";
import { unpacked } from "./server.js";

export function showArrays({ arrays, g_max }) {
  const largest = Math.max(g_max, ...arrays.map((one) => one.largest));
  document.getElementById("maps").replaceChildren(...arrays.map((one) => map(one, largest)));
  draw(document.getElementById("scale"), (width) => {
    const axes = new Axes(width, 52, {
      x: { range: [0, 1e6 * largest], label: "conductance (µS)" }, y: { range: [0, 1], label: "", ticks: [] }, left: 8,
      words: `Colours from 0 to ${engineering(largest, "S")}, dark to light.`,
    });
    for (let k = 0; k < 128; k++) {
      const bar = axes.bar((1e6 * largest * k) / 128, (1e6 * largest * (k + 1.1)) / 128, 0, 1);
      bar.style.fill = `rgb(${viridis((k + 0.5) / 128).join(" ")})`;
    }
    return axes.svg;
  });
}

function map(one, largest) {
  const { shape: [rows, columns], values } = unpacked(one.conductance);
  const canvas = raster(values, columns, rows, 0, largest, viridis);
  canvas.style.height = `${Math.max(120, Math.min(280, rows * 12))}px`;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${one.name}: ${one.rows} word lines, ${one.columns} bit lines, ${engineering(one.lowest, "S")} to ${engineering(one.largest, "S")}. Arrow keys go from device to device.`);
  const at = [0, 0];
  const say = () => {
    const [row, column] = at, bias = row * one.every >= one.rows - one.bias_rows ? " (bias)" : "";
    document.getElementById("array-said").textContent =
      `${one.name}: word line ${row * one.every}${bias}, output ${Math.floor(column / 2)} ${column % 2 ? "−" : "+"}: ${engineering(values[row * columns + column], "S", 4)}`;
  };
  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    at[0] = Math.min(rows - 1, Math.max(0, Math.floor((rows * (event.clientY - box.top)) / box.height)));
    at[1] = Math.min(columns - 1, Math.max(0, Math.floor((columns * (event.clientX - box.left)) / box.width)));
    say();
  });
  canvas.addEventListener("focus", say);
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    at[0] = Math.min(rows - 1, Math.max(0, at[0] + step[0]));
    at[1] = Math.min(columns - 1, Math.max(0, at[1] + step[1]));
    say();
  });
  const shown = one.every > 1 ? `, every ${one.every}th word line` : "";
  return make("figure", {},
    make("figcaption", { textContent: `${one.name}, ${grouped(one.rows)} × ${grouped(one.columns)}${shown}; a weight of 1 is ${engineering(one.siemens_per_weight, "S")}` }),
    make("div", { className: "axes" }, make("span", { className: "down", textContent: "word line" }), canvas,
      make("span", { className: "along", textContent: "bit line (+, −, +, −, ...)" })));
}
