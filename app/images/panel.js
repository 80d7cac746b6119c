// @ts-check
// One lane's tiles on a canvas: each state of all tiles is painted once; a frame copies the tiles that have changed.

const TALL = 580; // pixels, about the height of a panel
const SIDES = [10, 32]; // pixels of a tile, from and to
const TINT = 0.55; // opacity of the lane's colour over a tile
const DIM = "rgb(14 17 24 / 50%)"; // over the others

/** @typedef {{columns: number, rows: number, count: number, side: number, ratio: number, key: string}} Layout */

/** ``count`` tiles in a width of CSS pixels, about TALL high. ``side`` is in device pixels, ``ratio`` of them to a CSS pixel.
 * @returns {Layout} */
export function layoutOf(/** @type {number} */ count, /** @type {number} */ width, /** @type {number} */ ratio) {
  const wanted = Math.min(SIDES[1], Math.max(SIDES[0], Math.sqrt((width * TALL) / count)));
  const columns = Math.max(1, Math.floor(width / wanted));
  const side = Math.floor(Math.min(width / columns, SIDES[1]) * ratio);
  const rows = Math.ceil(count / columns);
  return { columns, rows, count, side, ratio, key: `${count} ${columns} ${side}` };
}

/** The tile at a place in CSS pixels; −1 for none. */
export function tileAt(/** @type {Layout} */ { columns, count, side, ratio }, /** @type {number} */ x, /** @type {number} */ y) {
  const [column, row] = [x, y].map((place) => Math.floor((place * ratio) / side));
  const tile = row * columns + column;
  return column >= 0 && column < columns && tile >= 0 && tile < count ? tile : -1;
}

/** All pictures at the size of the tiles, from a sheet of pictures of ``size`` pixels a side. */
export function backdrop(/** @type {HTMLCanvasElement} */ sheet, /** @type {number} */ size, /** @type {Layout} */ { columns, rows, count, side }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns * side, rows * side];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "medium";
  const across = sheet.width / size;
  for (let tile = 0; tile < count; tile++) {
    const [x, y] = [(tile % columns) * side, Math.floor(tile / columns) * side];
    context.drawImage(sheet, (tile % across) * size, Math.floor(tile / across) * size, size, size, x, y, side - 1, side - 1);
  }
  return canvas;
}

/** The tiles of a panel in each state, by its number: 0 dimmed, 1 in the lane's colour with a filled corner, 2 dimmed with a dot.
 * A frame copies tiles from them, which is faster than to draw marks. */
export function layersOf(/** @type {HTMLCanvasElement} */ back, /** @type {Layout} */ layout, /** @type {string} */ color) {
  return [covered(back, DIM, 1), covered(back, color, TINT, corner(layout, color)), covered(back, DIM, 1, dot(layout))];
}

/** A copy under a colour, each tile with a mark; what lies between the tiles stays transparent. */
function covered(/** @type {HTMLCanvasElement} */ back, color, alpha, mark = null) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [back.width, back.height];
  const context = canvas.getContext("2d");
  context.drawImage(back, 0, 0);
  context.globalCompositeOperation = "source-atop";
  for (const [style, opacity] of [[color, alpha], ...(mark ? [[context.createPattern(mark, "repeat"), 1]] : [])]) {
    context.fillStyle = style;
    context.globalAlpha = opacity;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }
  return canvas;
}

/** The mark of one tile. */
function markOf(/** @type {Layout} */ { side }, /** @type {(context: CanvasRenderingContext2D) => void} */ drawn) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  drawn(canvas.getContext("2d"));
  return canvas;
}

function corner(/** @type {Layout} */ layout, color) {
  const [inner, size] = [layout.side - 1, Math.ceil(0.42 * layout.side)];
  return markOf(layout, (context) => {
    context.fillStyle = color;
    context.moveTo(inner - size, 0);
    context.lineTo(inner, 0);
    context.lineTo(inner, size);
    context.fill();
  });
}

function dot(/** @type {Layout} */ layout) {
  const radius = Math.max(1.6 * layout.ratio, 0.13 * layout.side);
  return markOf(layout, (context) => {
    context.arc(radius + layout.ratio, layout.side - 1 - radius - layout.ratio, radius, 0, 7);
    context.fillStyle = "#ffffff";
    context.strokeStyle = "#1f2430";
    context.lineWidth = layout.ratio;
    context.fill();
    context.stroke();
  });
}

/** Bring a panel to ``states``, a number for each tile: copy those that have changed since the last frame, ``painted`` on it. Return how
 * many are 1. */
export function paint(canvas, /** @type {Layout} */ layout, /** @type {HTMLCanvasElement[]} */ layers, /** @type {Uint8Array} */ states, /** @type {number} */ marked) {
  const { columns, count, side, ratio } = layout;
  const context = canvas.getContext("2d");
  if (canvas.layers !== layers) {
    const [{ width, height }] = layers;
    Object.assign(canvas, { width, height, layers, painted: new Uint8Array(count), marked });
    [canvas.style.width, canvas.style.height] = [width, height].map((size) => `${size / ratio}px`);
    context.drawImage(layers[0], 0, 0);
  }
  const [painted, around] = [canvas.painted, nearby(layout, canvas.marked)];
  let hits = 0;
  for (let tile = 0; tile < count; tile++) {
    const now = states[tile];
    hits += Number(now === 1);
    if (now === painted[tile] && !around.has(tile)) continue;
    painted[tile] = now;
    const [x, y] = [(tile % columns) * side, Math.floor(tile / columns) * side];
    context.clearRect(x, y, side, side);
    context.drawImage(layers[now], x, y, side, side, x, y, side, side);
  }
  canvas.marked = marked;
  outline(context, layout, marked, document.activeElement === canvas);
  return hits;
}

/** The tiles that the outline of one touches. */
function nearby(/** @type {Layout} */ { columns }, /** @type {number} */ tile) {
  return new Set([-1, 0, 1].flatMap((down) => [-1, 0, 1].map((across) => tile + down * columns + across)));
}

/** The chosen tile: a dark frame in a white one, wider where the keyboard is. */
function outline(context, /** @type {Layout} */ { columns, side, ratio }, tile, /** @type {boolean} */ isFocused) {
  const [x, y] = [(tile % columns) * side, Math.floor(tile / columns) * side];
  const width = (isFocused ? 3 : 2) * ratio;
  for (const [color, wide] of /** @type {[string, number][]} */ ([["#ffffff", width + 2 * ratio], ["#1f2430", width]])) {
    context.strokeStyle = color;
    context.lineWidth = wide;
    context.strokeRect(x, y, side - 1, side - 1);
  }
}
