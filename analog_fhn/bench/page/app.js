// The page: one state; every change of it asks the server anew, and what was asked before is given up.

import { Accuracy } from "./accuracy.js";
import { showArrays } from "./arrays.js";
import { showWay } from "./follow.js";
import { grouped } from "./format.js";
import { Knobs, make } from "./knobs.js";
import { showResponse, showWaveform } from "./neuron.js";
import { showCommands, showLink } from "./same.js";
import { ask, stream } from "./server.js";
import { fromText, toText } from "./state.js";
import { Yield } from "./yield.js";

const PATIENCE = 400; // ms for which a first answer is awaited before a newer state takes its place
const TIMES = ["settle", "control"];
const BEFORE_OTHERS = 600; // ms that the accuracy has before the pictures ask, too

const $ = (id) => document.getElementById(id);
let state = fromText(location.hash), setup, round, again = false, typed = 0, neuron = 0, begun = 0;

const knobs = new Knobs((key, value) => change(setup.window && TIMES.includes(key) ? times(key, value) : { [key]: value }));
const accuracy = new Accuracy();
const yields = new Yield(() => state, (seed) => change({ chip: seed }));

function change(changes) {
  const technology = changes.technology !== undefined && changes.technology !== state.technology;
  for (const [key, value] of Object.entries(changes)) {
    const place = key.includes(".") ? state.values : state;
    if (value === undefined) delete place[key]; else place[key] = value;
  }
  if (technology) { state.values = {}; delete state.readout; delete state.settle; delete state.control; }
  if (yields.running) yields.stop("Stopped, since a knob was turned");
  typed = performance.now();
  showLink(state);
  ownKnobs();
  if (technology) begin(); else refresh();
}

// A technology's own window goes as a whole: once one of its times is turned, the network says both.
function times(key, value) {
  const own = Object.fromEntries(setup.knobs.filter((knob) => TIMES.includes(knob.key)).map((knob) => [knob.key, knob.value]));
  const both = { ...own, ...Object.fromEntries(TIMES.filter((one) => state[one] !== undefined).map((one) => [one, state[one]])), [key]: value ?? own[key] };
  return TIMES.every((one) => both[one] === own[one]) ? { settle: undefined, control: undefined } : both;
}

class Round {
  constructor() { this.controller = new AbortController(); this.start = performance.now(); this.first = true; }
  get gone() { return this.controller.signal.aborted; }

  // One question, shown when it is answered; how far it is stands beside it, if it takes its time.
  async put(question, show, every = show) {
    const since = typed, busy = document.querySelector(`[data-busy="${question}"]`), panel = busy?.closest(".panel");
    const late = setTimeout(() => { panel?.classList.add("stale"); if (busy) busy.hidden = false; }, 200);
    const bar = busy?.querySelector("progress"), text = busy?.querySelector("span");
    if (bar) { bar.removeAttribute("value"); text.textContent = "computing"; }
    const progress = (what, done, total) => {
      if (!bar || this.gone) return;
      if (total > 1) { bar.max = total; bar.value = done; } else bar.removeAttribute("value");
      text.textContent = `computing: ${what}${total > 1 ? ` ${Math.round((100 * done) / total)} %` : ""}`;
    };
    try {
      for await (const answer of stream(question, state, { signal: this.controller.signal, progress })) {
        if (this.gone) return;
        every(answer);
        panel?.classList.remove("stale");
      }
      const took = document.querySelector(`[data-took="${question}"]`);
      if (took) took.textContent = `${grouped(Math.round(performance.now() - since))} ms`;
    } finally {
      clearTimeout(late);
      if (busy && !this.gone) busy.hidden = true;
      panel?.classList.remove("stale");
    }
  }

  async all() {
    await this.put("waveform", (answer) => { neuron = answer.neuron; showWaveform(answer); });
    this.first = false;
    if (this.gone || again) return;
    accuracy.begin();
    const judged = this.put("accuracy", (answer) => accuracy.show(answer, chipName()));
    const commands = this.put("commands", (answer) => showCommands(answer, yields.run));
    for (const promise of [judged, commands]) promise.catch(() => {}); // whichever is awaited first says it
    await Promise.race([judged, new Promise((resolve) => setTimeout(resolve, BEFORE_OTHERS))]);
    await commands;
    if (this.gone) return;
    await this.put("response", showResponse);
    await this.put("follow", (answer) => showWay(answer, [state.layer ?? 0, neuron], (layer, neuron) => change({ layer, neuron })));
    await this.put("array", showArrays);
    await judged;
  }
}

function chipName() {
  return `${state.chip === null ? "Nominal chip" : `Chip ${state.chip}`} of ${state.technology}`;
}

async function refresh() {
  if (round?.first && performance.now() - round.start < PATIENCE) { again = true; return; }
  round?.controller.abort();
  const mine = new Round();
  round = mine;
  again = false;
  document.body.dataset.ready = "no";
  try {
    await mine.all();
    if (!mine.gone && !again) { problem(); document.body.dataset.ready = toText(state) || "yes"; }
  } catch (error) {
    if (mine.gone || error.name === "AbortError") return;
    mine.controller.abort();
    problem(error.message);
    document.body.dataset.ready = "refused";
  } finally {
    mine.first = false;
    if (round === mine && again) refresh();
  }
}

function problem(message) {
  $("problem").hidden = message === undefined;
  if (message !== undefined && $("problem").textContent !== message) $("problem").textContent = message;
  if (message !== undefined) { $("headline").textContent = "not computed"; for (const busy of document.querySelectorAll("[data-busy]:not([data-busy=yield])")) busy.hidden = true; }
}

// What the page's own fields show of the state.
function ownKnobs() {
  if (!setup) return;
  const nominal = state.chip === null || state.chip === undefined;
  $("nominal").checked = nominal;
  for (const id of ["chip", "chip-before", "chip-after"]) $(id).disabled = nominal;
  if (!nominal) $("chip").value = state.chip;
  $("technology").value = state.technology;
  $("image").value = state.image ?? 0;
  $("neuron").value = state.neuron ?? "";
  $("layer").value = state.layer ?? 0;
  $("images").value = state.images ?? setup.images;
  $("neuron").max = setup.layers[state.layer ?? 0] - 1;
  knobs.show(state);
}

async function begin() {
  const mine = ++begun;
  let refused;
  try {
    // Of a technology that there is not the knobs of the first one, to choose another.
    const found = await ask("setup", { technology: state.technology }).catch((error) => { refused = error; return ask("setup", {}); });
    if (mine !== begun) return; // another technology has been chosen meanwhile
    setup = found;
  } catch (error) { problem(error.message); return; }
  document.title = `${setup.network}: analog-fhn bench`;
  $("what").textContent = `${setup.network.split("/").pop()}, ${setup.sizes} (${setup.units}), on ${setup.dataset}`;
  $("what").title = `${setup.network}; ${setup.source}`;
  $("technology").replaceChildren(...setup.technologies.map((name) => make("option", { value: name, textContent: name })));
  $("technology").title = setup.parts_source;
  const counts = [100, 200, 500, 1000, 2000, 5000, 10000].filter((n) => n < setup.n_images);
  const shown = [...new Set([...counts, setup.n_images, state.images ?? setup.images])].sort((one, other) => one - other);
  $("images").replaceChildren(...shown.map((n) => make("option", { value: n, textContent: n === setup.n_images ? `all ${grouped(n)}` : grouped(n) })));
  $("layer").replaceChildren(...setup.layers.map((n, k) => make("option", { value: k, textContent: `${k + 1}` })));
  $("layer").hidden = $("layer-label").hidden = setup.layers.length === 1;
  $("image").max = setup.n_images - 1;
  knobs.build(setup, state);
  ownKnobs();
  showLink(state);
  if (!refused) { refresh(); return; }
  round?.controller.abort();
  problem(refused.message);
  document.body.dataset.ready = "refused";
}

function whole(id, key) {
  const value = $(id).value;
  if (value === "" || !Number.isFinite(Number(value))) { ownKnobs(); return; }
  change({ [key]: Number(value) });
}

$("chip").addEventListener("change", () => whole("chip", "chip"));
$("chip-before").addEventListener("click", () => change({ chip: Math.max(0, state.chip - 1) }));
$("chip-after").addEventListener("click", () => change({ chip: state.chip + 1 }));
$("nominal").addEventListener("change", () => change({ chip: $("nominal").checked ? null : Number($("chip").value || 1) }));
$("technology").addEventListener("change", () => change({ technology: $("technology").value }));
$("images").addEventListener("change", () => change({ images: Number($("images").value) === setup.images ? undefined : Number($("images").value) }));
$("image").addEventListener("change", () => whole("image", "image"));
$("image-before").addEventListener("click", () => change({ image: Math.max(0, (state.image ?? 0) - 1) }));
$("image-after").addEventListener("click", () => change({ image: Math.min(setup.n_images - 1, (state.image ?? 0) + 1) }));
$("layer").addEventListener("change", () => change({ layer: Number($("layer").value), neuron: undefined }));
$("neuron").addEventListener("change", () => whole("neuron", "neuron"));
for (const id of ["chips", "specification"]) {
  $(id).addEventListener("change", () => ask("commands", state).then((answer) => showCommands(answer, yields.run), () => {}));
}
$("knobs").addEventListener("submit", (event) => event.preventDefault());
$("reset").addEventListener("click", () => {
  const { technology, chip, image, layer, neuron } = state, known = (layer ?? 0) < setup.layers.length;
  state = { ...fromText(""), technology, chip, image, ...(known ? { layer, neuron } : {}) };
  change({});
});
// What stands behind the # is the state: the link has to leave it alone.
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); $("results").focus(); });
addEventListener("hashchange", () => {
  if (toText(fromText(location.hash)) === toText(state)) return;
  state = fromText(location.hash);
  begin();
});
// On a small screen knobs do not stand in front of what they change.
if (matchMedia("(max-width: 799px)").matches) for (const block of document.querySelectorAll("details.block")) block.open = block.contains($("neurons"));
begin();
