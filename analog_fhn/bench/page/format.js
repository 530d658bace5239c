// Numbers as people read them.

const PREFIXES = { "-15": "f", "-12": "p", "-9": "n", "-6": "µ", "-3": "m", 0: "", 3: "k", 6: "M" };

export function engineering(value, unit, digits = 3) {
  if (value === 0) return `0 ${unit}`;
  const power = Math.min(6, Math.max(-15, 3 * Math.floor(Math.log10(Math.abs(value)) / 3 + 1e-9)));
  return `${plain(value / 10 ** power, digits)} ${PREFIXES[power]}${unit}`;
}

// So many significant digits, without zeros at the end and without an exponent where that is short.
export function plain(value, digits = 4) {
  const text = String(Number(value.toPrecision(digits)));
  return text.replace(/^-/, "−");
}

export function percent(share, digits = 2) {
  return `${(100 * share).toFixed(digits)} %`;
}

export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, " ");
}

// A value beside its number, in the unit that people read it in; key: which value it is.
export function inUnit(value, unit, key = "") {
  if (unit === "1") return /tolerance|error|sigma|share|stuck|noise/.test(key) ? `${plain(100 * value, 3)} %` : "";
  if (unit === "1/K") return `${plain(1e6 * value, 3)} ppm/K`;
  if (unit === "T" || unit === "K" || unit === "") return unit;
  return engineering(value, unit.replaceAll("ohm", "Ω"));
}
