// The state of all knobs, and its text behind the # of the address. Only what differs from the defaults is in it.

const WHOLE = new Set(["chip", "image", "layer", "neuron", "images"]);
const OWN = new Set([...WHOLE, "technology", "readout", "gamma", "a", "eps", "slope", "settle", "control"]);

export function initial() {
  return { technology: "discrete", chip: 1, values: {} };
}

export function toText(state) {
  const { values, ...own } = state;
  const pairs = Object.entries({ ...own, ...values }).filter(([, value]) => value !== undefined);
  return pairs.map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(String(value))}`).join("&");
}

// The server says what is wrong with a value; here a text is only taken apart.
export function fromText(text) {
  const state = initial();
  for (const pair of text.replace(/^#/, "").split("&").filter(Boolean)) {
    const [key, written = ""] = pair.split("=").map((part) => {
      try { return decodeURIComponent(part); } catch { return part; }
    });
    const number = Number(written);
    const value = written === "null" ? null : written.trim() !== "" && Number.isFinite(number) ? number : written;
    if (OWN.has(key)) state[key] = value; else state.values[key] = value;
  }
  return state;
}
