// A small yield run: chips one by one, their histogram, the yield with its interval.

import { Axes, draw } from "./draw.js";
import { percent } from "./format.js";
import { make } from "./knobs.js";
import { stream } from "./server.js";

export class Yield {
  constructor(state, choose) {
    this.state = state; this.choose = choose;
    this.button = document.getElementById("run");
    this.button.addEventListener("click", () => (this.running ? this.stop("Stopped") : this.start()));
    addEventListener("pagehide", () => this.running?.abort());
  }

  get run() {
    const specification = document.getElementById("specification").value;
    return { chips: Number(document.getElementById("chips").value), specification: specification === "" ? null : Number((Number(specification) / 100).toPrecision(12)) };
  }

  stop(why) {
    this.running?.abort();
    this.running = undefined;
    this.button.textContent = "Start";
    document.querySelector('[data-busy="yield"]').hidden = true;
    if (why) this.tell(`${why}${this.last ? `: ${this.sentence()}` : "."}`);
  }

  say(text) { document.getElementById("yield-said").textContent = text; }

  // Also to those who hear the page: not every chip, only how the run begins and ends.
  tell(text) { this.say(text); document.getElementById("yield-live").textContent = text; }

  sentence() {
    const one = this.last;
    return `${one.n_trials} of ${one.chips} chips, ${percent(one.yield, 1)} reach ${percent(one.specification)} ` +
      `(95 % interval ${percent(one.yield_low, 1)} to ${percent(one.yield_high, 1)}); median ${one.median_accuracy === null ? "unknown" : percent(one.median_accuracy)}` +
      (one.n_failed ? `; ${one.n_failed} failed` : "");
  }

  async start() {
    const controller = new AbortController(), busy = document.querySelector('[data-busy="yield"]');
    const bar = busy.querySelector("progress"), text = busy.querySelector("span");
    this.running = controller; this.last = undefined;
    this.button.textContent = "Stop";
    this.tell("Computing.");
    busy.hidden = false; bar.removeAttribute("value"); text.textContent = "";
    const trials = [];
    const progress = (what, done, total) => { text.textContent = `chip ${trials.length + 1} of ${this.run.chips}: ${what} ${Math.round((100 * done) / total)} %`; };
    try {
      for await (const one of stream("yield", { ...this.state(), run: this.run }, { signal: controller.signal, progress })) {
        trials.push(one);
        this.last = one;
        bar.max = one.chips; bar.value = trials.length; text.textContent = `${trials.length} of ${one.chips} chips`;
        this.show(trials);
      }
      if (this.running === controller) { this.stop(); this.tell(`Done: ${this.sentence()}`); }
    } catch (error) {
      if (error.name !== "AbortError" && this.running === controller) { this.last = undefined; this.stop(error.message); }
    }
  }

  show(trials) {
    this.say(this.sentence());
    const known = trials.filter((one) => one.accuracy !== null);
    draw(document.getElementById("histogram"), (width) => histogram(width, known, this.last));
    const worst = [...known].sort((one, other) => one.accuracy - other.accuracy).slice(0, 3);
    document.getElementById("worst").replaceChildren("Least accurate: ", ...worst.flatMap((one, k) => {
      const button = make("button", { type: "button", textContent: `chip ${one.seed}, ${percent(one.accuracy)}` });
      button.addEventListener("click", () => this.choose(one.seed));
      return k ? [" ", button] : [button];
    }));
  }
}

function histogram(width, trials, { images, specification, plain }) {
  const values = trials.map((one) => one.accuracy);
  const low = Math.min(...values, specification), high = Math.max(...values, specification, plain);
  // Whole images to a bin, at most about 40 of them.
  const bin = Math.max(1, Math.ceil(((high - low) * images) / 40)) / images;
  const first = Math.floor(low / bin + 1e-9), counts = new Map();
  for (const value of values) { const k = Math.floor(value / bin + 1e-9); counts.set(k, (counts.get(k) ?? 0) + 1); }
  const most = Math.max(1, ...counts.values());
  const axes = new Axes(width, 190, {
    x: { range: [100 * (first - 1) * bin, 100 * (Math.floor(high / bin + 1e-9) + 2) * bin], label: "accuracy (%)" },
    y: { range: [0, most * 1.08], label: "chips" }, title: "Chips by their accuracy",
    words: `Histogram of ${values.length} accuracies from ${percent(Math.min(...values))} to ${percent(Math.max(...values))}.`,
  });
  for (const [k, count] of counts) axes.bar(100 * (k + 0.06) * bin, 100 * (k + 0.94) * bin, 0, count, (k + 0.5) * bin + 1e-9 < specification ? "second" : "");
  axes.vertical(100 * specification, "second dashed");
  axes.vertical(100 * plain, "ink thin dashed");
  if (width > 420) axes.legend([["specification", "second dashed"], ["plain network", "ink thin dashed"]]);
  return axes.svg;
}
