// @ts-check
// The maps of a step: pictures of a layer's weights, one cell each. Colour and its strength show a signed value, filled or hollow.

import { element } from "../ui/parts.js";

export const PLUS = [14, 143, 143];
export const MINUS = [194, 64, 126];
const CELL = 6; // canvas pixels per side of a cell in a large map

/** The offset of each layer's cells in a lane's pictures. */
export function offsets(layers) {
  let sum = 0;
  return layers.map(({ rows, columns }) => (sum += rows * columns) - rows * columns);
}

function prepare(canvas, rows, columns, cell, least = 0.25) {
  canvas.width = columns * cell;
  canvas.height = rows * cell;
  const shape = Math.max(least, Math.min(4, columns / rows));
  canvas.style.aspectRatio = shape;
  canvas.style.width = `${100 * Math.min(1, shape)}%`;
  return canvas.getContext("2d");
}

function rgba(/** @type {number[]} */ [red, green, blue], share) {
  return `rgb(${red} ${green} ${blue} / ${share})`;
}

/** A small map: one pixel per cell, from transparent to the colour of its sign. ``cells`` null: nothing to show. */
export function paintSmall(canvas, { rows, columns }, cells) {
  const context = prepare(canvas, rows, columns, 1);
  if (!cells) return;
  const image = context.createImageData(columns, rows);
  cells.forEach((value, at) => image.data.set([...(value < 0 ? MINUS : PLUS), 2 * Math.abs(value)], 4 * at));
  context.putImageData(image, 0, 0);
}

/**
 * A large map. ``mask``: cells where it is 0 are not filled but marked by a dot, in the first ``fallen`` share of the rows (1: all).
 */
export function paintLarge(canvas, { rows, columns }, cells, ink, mask = null, fallen = 1) {
  const context = prepare(canvas, rows, columns, CELL);
  if (!cells) return;
  const masked = mask ? fallen * rows : 0;
  cells.forEach((value, at) => {
    const [x, y] = [CELL * (at % columns), CELL * Math.floor(at / columns)];
    if (mask && y / CELL < masked && !mask[at]) {
      context.fillStyle = ink;
      context.globalAlpha = 0.3;
      context.fillRect(x + 2.5, y + 2.5, 1, 1);
      context.globalAlpha = 1;
      return;
    }
    context.fillStyle = rgba(value < 0 ? MINUS : PLUS, Math.abs(value) / 127);
    context.fillRect(x, y, CELL, CELL);
    if (value < 0) context.clearRect(x + 2, y + 2, 2, 2);
  });
  if (masked > 0 && masked < rows) {
    context.fillStyle = ink;
    context.fillRect(0, CELL * masked - 1, CELL * columns, 2);
  }
}

/** The mask itself, in the lane's colour. */
export function paintMask(canvas, { rows, columns }, mask, color) {
  const context = prepare(canvas, rows, columns, CELL);
  if (!mask) return;
  context.fillStyle = color;
  mask.forEach((on, at) => on && context.fillRect(CELL * (at % columns), CELL * Math.floor(at / columns), CELL, CELL));
}

export function figure(name, title) {
  const made = element(
    "figure",
    {},
    element("figcaption", { textContent: title }),
    element("div", { className: "frame" }, element("canvas", { role: "img" })),
    element("small"),
  );
  made.dataset.map = name;
  return made;
}

/** The layers, a column for each stage: a button with a small map for each tensor. */
export function stages(layers, choose) {
  const names = [...new Set(layers.map(({ stage }) => stage))];
  return names.map((name) => {
    const own = layers.map((layer, at) => ({ ...layer, at })).filter(({ stage }) => stage === name);
    const buttons = own.map((layer) => {
      const made = element("button", { type: "button" }, element("canvas", { ariaHidden: "true" }));
      made.dataset.layer = layer.at;
      made.title = `${layer.name}, ${layer.shape.join(" × ")}`;
      made.ariaLabel = made.title;
      made.classList.toggle("vector", layer.rows === 1);
      made.onclick = () => choose(layer.at);
      return made;
    });
    return element("div", { className: "stage" }, element("small", { textContent: name }), ...buttons);
  });
}
