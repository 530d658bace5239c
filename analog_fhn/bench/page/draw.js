// Pictures as SVG: axes with round ticks and labels, lines, bands, bars, dots. Letters keep their size.

const SVG = "http://www.w3.org/2000/svg";
const drawn = new WeakMap();

export function element(name, attributes = {}, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// Draw into a place now, and again whenever its width changes.
export function draw(place, picture) {
  if (!drawn.has(place)) new ResizeObserver(() => again(place)).observe(place);
  drawn.set(place, { picture, width: 0 });
  again(place);
}

function again(place) {
  const known = drawn.get(place);
  const width = Math.floor(place.clientWidth);
  if (!known || !width || width === known.width) return;
  known.width = width;
  place.replaceChildren(known.picture(width));
}

export function ticks(low, high, most) {
  const raw = (high - low) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) found.push(Number((k * step).toPrecision(12)));
  return found;
}

export function extent(values, margin = 0.05) {
  let low = Infinity, high = -Infinity;
  for (const value of values) { if (value < low) low = value; if (value > high) high = value; }
  if (!(high > low)) { low -= 0.5; high += 0.5; }
  const more = margin * (high - low);
  return [low - more, high + more];
}

export class Axes {
  // x, y: { range: [low, high], label, ticks, format, log }; words: what the picture shows, for those who do not see it
  constructor(width, height, { x, y, title, words, left = 54 }) {
    this.x = x; this.y = y;
    this.box = { left, top: title ? 24 : 8, right: width - 8, bottom: height - 34 };
    this.svg = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words });
    if (title) this.text(left, 12, title, "title");
    this.frame();
  }
  at(axis, value) {
    const { range: [low, high], log } = axis;
    return log ? (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low)) : (value - low) / (high - low);
  }
  px(value) { return this.box.left + this.at(this.x, value) * (this.box.right - this.box.left); }
  py(value) { return this.box.bottom - this.at(this.y, value) * (this.box.bottom - this.box.top); }
  add(name, attributes, text) { const node = element(name, attributes, text); this.svg.append(node); return node; }
  text(x, y, words, kind = "", anchor = "start") { return this.add("text", { x, y, class: kind, "text-anchor": anchor }, words); }
  frame() {
    const { left, top, right, bottom } = this.box, { x, y } = this;
    for (const value of y.ticks ?? ticks(...y.range, Math.max(2, (bottom - top) / 42))) {
      const at = Math.round(this.py(value)) + 0.5;
      this.add("path", { class: "grid", d: `M${left} ${at}H${right}` });
      this.text(left - 6, at + 3.5, (y.format ?? number)(value), "", "end");
    }
    for (const value of x.ticks ?? ticks(...x.range, Math.max(2, (right - left) / 70))) {
      const at = Math.round(this.px(value)) + 0.5;
      this.add("path", { class: "axis", d: `M${at} ${bottom}v4` });
      this.text(at, bottom + 15, (x.format ?? number)(value), "", "middle");
    }
    this.add("path", { class: "axis", d: `M${left + 0.5} ${top}V${Math.round(bottom) + 0.5}H${right}` });
    this.text((left + right) / 2, bottom + 30, x.label, "", "middle");
    const label = this.text(0, 0, y.label, "", "middle");
    label.setAttribute("transform", `translate(10 ${(top + bottom) / 2}) rotate(-90)`);
  }
  path(xs, ys) {
    let d = "";
    for (let k = 0; k < xs.length; k++) d += `${k ? "L" : "M"}${this.px(xs[k]).toFixed(1)} ${this.clipped(ys[k])}`;
    return d;
  }
  clipped(value) { return Math.min(this.box.bottom + 1, Math.max(this.box.top - 1, this.py(value))).toFixed(1); }
  line(xs, ys, kind = "") { return this.add("path", { class: `line ${kind}`, d: this.path(xs, ys) }); }
  band(xs, low, high) {
    const back = this.path([...xs].reverse(), [...high].reverse()).replace("M", "L");
    this.add("path", { class: "band", d: `${this.path(xs, low)}${back}Z` });
  }
  vertical(value, kind) { this.add("path", { class: `line ${kind}`, d: `M${this.px(value).toFixed(1)} ${this.box.top}V${this.box.bottom}` }); }
  horizontal(value, kind) { this.add("path", { class: `line ${kind}`, d: `M${this.box.left} ${this.py(value).toFixed(1)}H${this.box.right}` }); }
  dots(xs, ys, kind = "", r = 3.5) { xs.forEach((x, k) => this.add("circle", { class: `dot ${kind}`, cx: this.px(x).toFixed(1), cy: this.py(ys[k]).toFixed(1), r })); }
  bar(x0, x1, y0, y1, kind = "") {
    const [a, b] = [this.px(x0), this.px(x1)].sort((p, q) => p - q), [c, d] = [this.py(y0), this.py(y1)].sort((p, q) => p - q);
    return this.add("rect", { class: `bar ${kind}`, x: a.toFixed(1), y: c.toFixed(1), width: Math.max(0, b - a).toFixed(1), height: Math.max(0, d - c).toFixed(1) });
  }
  // Names of the lines, on the right above the picture.
  legend(entries) {
    let right = this.box.right;
    for (const [name, kind] of [...entries].reverse()) {
      right -= 6.2 * name.length;
      this.text(right, 12, name);
      this.add("path", { class: `line ${kind}`, d: `M${right - 24} 8.5h18` });
      right -= 36;
    }
  }
}

export function number(value) { return String(Number(value.toPrecision(6))).replace(/^-/, "−"); }
