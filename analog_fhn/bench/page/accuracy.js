// Accuracy of the chip on more and more images, with its interval; class by class, and which class is taken for which.

import { Axes, draw, extent } from "./draw.js";
import { grouped, percent } from "./format.js";
import { make } from "./knobs.js";

export class Accuracy {
  begin() { this.points = []; }

  show(answer, name) {
    this.points.push(answer);
    const { accuracy, low, high, images, plain } = answer;
    document.getElementById("accuracy-number").textContent = percent(accuracy);
    const interval = `${percent(low)} to ${percent(high)}`;
    document.getElementById("accuracy-said").textContent =
      `${grouped(answer.right)} of ${grouped(images)} images; 95 % interval ${interval}; plain network ${percent(plain)}` +
      (answer.unsettled > 0.01 ? `; ${percent(answer.unsettled, 1)} of the neurons are off −(a + I) by more than 0.05` : "");
    if (images === answer.of) document.getElementById("headline").textContent = `${name}: ${percent(accuracy)} of ${grouped(images)} images`;
    const points = [...this.points];
    draw(document.getElementById("growth"), (width) => growth(width, points));
    draw(document.getElementById("digits"), (width) => digits(width, answer.per_class));
    document.getElementById("confusion").replaceChildren(confusion(answer.confusion));
  }
}

function growth(width, points) {
  const last = points[points.length - 1];
  const shares = points.flatMap((one) => [100 * one.low, 100 * one.high, 100 * one.plain]);
  const [low, high] = extent(shares, 0.06), n = points.map((one) => one.images);
  const first = Math.min(100, last.of), end = Math.max(last.of, first * 2);
  const axes = new Axes(width, 170, {
    x: { range: [first * 0.9, end * 1.1], log: true, label: "images", ticks: [100, 200, 500, 1000, 2000, 5000, 10000].filter((one) => one >= first && one <= end), format: (one) => grouped(one) },
    y: { range: [Math.max(0, low), Math.min(100, high)], label: "accuracy (%)" },
    title: "While images are added",
    words: `Accuracy after ${n.join(", ")} images: ${points.map((one) => percent(one.accuracy)).join(", ")}.`,
  });
  axes.band(n, points.map((one) => 100 * one.low), points.map((one) => 100 * one.high));
  axes.line(n, points.map((one) => 100 * one.plain), "ink thin dashed");
  axes.line(n, points.map((one) => 100 * one.accuracy));
  axes.dots(n, points.map((one) => 100 * one.accuracy));
  for (const side of [-1, 1]) {
    const from = side < 0 ? last.low : last.high;
    axes.add("path", { class: "line thin", d: `M${axes.px(last.images) - 4} ${axes.py(100 * from)}h8` });
  }
  if (width > 380) axes.legend([["95 %", "thin"], ["plain network", "ink thin dashed"]]);
  return axes.svg;
}

function digits(width, shares) {
  const known = shares.filter((share) => share !== null);
  const low = Math.min(90, Math.floor(10 * Math.min(...known) ) * 10);
  const axes = new Axes(width, 150, {
    x: { range: [-0.6, shares.length - 0.4], label: "class", ticks: shares.length <= 12 ? shares.map((_, k) => k) : undefined },
    y: { range: [low, 100], label: "right (%)" }, title: "Class by class",
    words: `Share that is right of each class: ${shares.map((share, k) => `${k}: ${share === null ? "no image" : percent(share, 1)}`).join(", ")}.`,
  });
  shares.forEach((share, k) => { if (share !== null) axes.bar(k - 0.32, k + 0.32, low, Math.max(low, 100 * share)).append(tip(`${k}: ${percent(share)}`)); });
  return axes.svg;
}

function tip(words) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", "title");
  node.textContent = words;
  return node;
}

function confusion(counts) {
  const most = Math.max(1, ...counts.flatMap((row, i) => row.filter((_, j) => i !== j)));
  const table = make("table", {}, make("caption", { textContent: "Rows: true class. Columns: answer." }));
  const head = make("tr", {}, make("td"), ...counts.map((_, j) => make("th", { scope: "col", textContent: j })));
  table.append(make("thead", {}, head), make("tbody", {}, ...counts.map((row, i) => make("tr", {}, make("th", { scope: "row", textContent: i }),
    ...row.map((count, j) => {
      const cell = make("td", { textContent: count || "", className: i === j ? "right" : "" });
      if (i !== j && count) cell.style.background = `color-mix(in srgb, var(--confused) ${Math.round(15 + (65 * count) / most)}%, transparent)`;
      return cell;
    })))));
  return table;
}
