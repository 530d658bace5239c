// Viridis (CC0, N. Smith and S. van der Walt), which grows lighter evenly for every eye, at 17 places.

const PLACES = [
  [68, 1, 84], [72, 24, 106], [71, 45, 123], [66, 64, 134], [59, 82, 139], [51, 99, 141], [44, 114, 142], [38, 130, 142], [33, 145, 140],
  [31, 160, 136], [40, 174, 128], [63, 188, 115], [94, 201, 98], [132, 212, 75], [173, 220, 48], [216, 226, 25], [253, 231, 37],
];
const TABLE = new Uint8ClampedArray(3 * 256);
for (let k = 0; k < 256; k++) {
  const at = (k / 255) * (PLACES.length - 1), low = Math.min(PLACES.length - 2, Math.floor(at));
  for (let c = 0; c < 3; c++) TABLE[3 * k + c] = PLACES[low][c] + (at - low) * (PLACES[low + 1][c] - PLACES[low][c]);
}

export function viridis(share) {
  const k = 3 * Math.min(255, Math.max(0, Math.round(255 * share)));
  return [TABLE[k], TABLE[k + 1], TABLE[k + 2]];
}

// Light on dark ground or dark on light, as the page is; for pixels of images.
export function grey(share) {
  const level = 255 * Math.min(1, Math.max(0, share));
  return [level, level, level];
}

// Canvas of one pixel per value, `width` x `height`.
export function raster(values, width, height, low, high, colour) {
  const canvas = document.createElement("canvas");
  canvas.width = width; canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const span = high - low || 1;
  for (let k = 0; k < width * height; k++) {
    const [r, g, b] = k < values.length ? colour((values[k] - low) / span) : [128, 128, 128];
    image.data.set([r, g, b, k < values.length ? 255 : 0], 4 * k);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
