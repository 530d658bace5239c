// Knobs from the server's description: a slider and a number each, named as network and technology name them.

import { inUnit } from "./format.js";

const STEPS = 200;
const PLACES = { neurons: ["gamma", "a", "eps", "slope"], reading: ["settle", "control", "readout"] };

export class Knobs {
  // changed(key, value): value undefined where a knob is back at what network and technology say.
  constructor(changed) { this.changed = changed; this.rows = new Map(); }

  build(setup, state) {
    this.rows.clear();
    for (const [place, keys] of Object.entries(PLACES)) {
      const knobs = setup.knobs.filter((knob) => keys.includes(knob.key));
      document.getElementById(place).replaceChildren(...knobs.map((knob) => this.row(knob, knob.key)));
    }
    const arrays = setup.parts.filter((knob) => knob.key.startsWith("array."));
    const conditions = setup.parts.filter((knob) => knob.key.startsWith("conditions."));
    const others = setup.parts.filter((knob) => !arrays.includes(knob) && !conditions.includes(knob));
    document.getElementById("array-knobs").replaceChildren(...arrays.map((knob) => this.row(knob, words(knob.key, 1))));
    document.getElementById("conditions").replaceChildren(...conditions.map((knob) => this.row(knob, words(knob.key, 1))));
    document.getElementById("parts").replaceChildren(...groups(others).map(([section, knobs]) => {
      const group = make("fieldset", { className: "group" }, make("legend", { textContent: section.replaceAll("_", " ") }));
      group.append(...knobs.map((knob) => this.row(knob, words(knob.key, 1))));
      return group;
    }));
    this.show(state);
  }

  row(knob, name) {
    const id = `k-${knob.key.replaceAll(".", "-")}`;
    const row = make("div", { className: "knob" });
    row.title = knob.key;
    const label = make("label", { htmlFor: id, textContent: name });
    const back = make("button", { type: "button", className: "back", textContent: "↺" });
    back.setAttribute("aria-label", `Reset ${knob.key}`);
    back.addEventListener("click", () => { this.set(knob, undefined); document.getElementById(id).focus(); });
    const entry = { knob, row };
    this.rows.set(knob.key, entry);
    if (knob.choices.length) {
      entry.select = make("select", { id });
      entry.select.append(...knob.choices.map((word) => make("option", { value: word, textContent: word })));
      entry.select.addEventListener("change", () => this.set(knob, entry.select.value === knob.value ? undefined : entry.select.value));
      row.append(label, entry.select, back);
      return row;
    }
    entry.slider = make("input", { type: "range", id, min: 0, max: table(knob).length - 1, step: 1 });
    entry.slider.addEventListener("input", () => this.set(knob, valueAt(knob, Number(entry.slider.value))));
    entry.number = make("input", { type: "number", step: "any", min: knob.low, max: knob.high, inputMode: "decimal" });
    entry.number.setAttribute("aria-label", `${knob.key}, number`);
    entry.number.addEventListener("change", () => this.set(knob, entry.number.value === "" ? undefined : Number(entry.number.value)));
    entry.number.addEventListener("keydown", (event) => {
      const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!way) return;
      event.preventDefault();  // the browser's own step is 1, whatever the knob
      const place = Number(entry.slider.value) + way;
      if (table(knob)[place] !== undefined) this.set(knob, valueAt(knob, place));
    });
    entry.unit = make("span", { className: "unit" });
    row.append(label, entry.slider, entry.number, back);
    if (knob.optional) row.append(this.none(knob, entry, id));
    row.append(entry.unit);
    return row;
  }

  none(knob, entry, id) {
    entry.none = make("input", { type: "checkbox", id: `${id}-none` });
    entry.none.addEventListener("change", () => this.set(knob, entry.none.checked ? null : knob.value ?? valueAt(knob, Math.round(table(knob).length / 2))));
    const name = knob.key === "array.levels" ? "any conductance" : "none";
    return make("span", { className: "check" }, entry.none, make("label", { htmlFor: `${id}-none`, textContent: name }));
  }

  set(knob, value) {
    this.put(knob.key, value);
    this.changed(knob.key, value === knob.value ? undefined : value);
  }

  show(state) {
    for (const key of this.rows.keys()) this.put(key, key in state.values ? state.values[key] : state[key]);
  }

  put(key, value) {
    const { knob, row, select, slider, number, unit, none } = this.rows.get(key);
    const own = value === undefined || value === knob.value;
    row.classList.toggle("changed", !own);
    const now = value === undefined ? knob.value : value;
    if (select) { select.value = now; return; }
    const absent = now === null, text = typeof now === "string";
    if (none) none.checked = absent;
    slider.disabled = number.disabled = absent && Boolean(none);
    number.value = absent || text ? "" : String(now);
    number.placeholder = text ? now : "";
    slider.value = absent || text ? 0 : placeOf(knob, now);
    const written = absent ? (knob.key === "array.levels" ? "any" : "none") : text ? `as the ${now} says` : inUnit(now, knob.unit, knob.key);
    unit.textContent = written;
    slider.setAttribute("aria-valuetext", absent || text ? written : `${now} ${inUnit(now, knob.unit, knob.key)}`);
  }
}

// The values of a slider, rising and round: each step is another one.
function table(knob) {
  if (tables.has(knob)) return tables.get(knob);
  if (knob.steps.length) return knob.steps;
  const [low, high] = knob.slider, values = [];
  const steps = knob.scale === "linear" ? Math.round((high - low) / step(knob)) : STEPS;
  for (let place = 0; place <= steps; place++) {
    const share = place / steps;
    const value = knob.scale === "linear" ? low + place * step(knob) : knob.scale === "log" ? low * (high / low) ** share : high * share ** 4;
    const round = knob.whole ? Math.round(value) : Number(knob.unit === "T" ? inTimes(value) : value.toPrecision(knob.scale === "linear" ? 6 : 3));
    if (round !== values[values.length - 1] && !(knob.key === "gamma" && round === 0)) values.push(round);
  }
  // What network and technology say is a step, too, in the place of the nearest one.
  if (typeof knob.value === "number" && knob.value >= values[0] && knob.value <= values[values.length - 1]) values[nearest(values, knob.value)] = knob.value;
  tables.set(knob, values);
  return values;
}

const tables = new WeakMap();

// Times are whole numbers of sampling intervals, as a protocol has them where nothing else is said.
function inTimes(value) {
  const unit = value > 20 ? 2 : 0.2;
  return (unit * Math.round(value / unit)).toPrecision(6);
}

// A round step of a slider whose values lie evenly.
function step(knob) {
  const raw = (knob.slider[1] - knob.slider[0]) / STEPS, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
}

function valueAt(knob, place) { return table(knob)[place]; }

function placeOf(knob, value) { return nearest(table(knob), value); }

function nearest(values, value) {
  let place = 0;
  values.forEach((one, k) => { if (Math.abs(one - value) < Math.abs(values[place] - value)) place = k; });
  return place;
}

function words(key, first) { return key.split(".").slice(first).join(" ").replaceAll("_", " "); }

function groups(knobs) {
  const found = new Map();
  for (const knob of knobs) {
    const section = knob.key.split(".")[0];
    found.set(section, [...(found.get(section) ?? []), knob]);
  }
  return [...found];
}

export function make(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}
