// @ts-check
// The masks of one layer: a canvas per lane that has masks, one canvas pixel per cell, enlarged by CSS without smoothing.

import { element, fixed, percent, swatch } from "./parts.js";
import { pixels as unpacked } from "./wire.js";

/** Update the figures; they are made once per race. */
export function showMasks(holder, /** @type {import("./live/data").Race} */ data) {
  const masked = data.lanes.filter((lane) => lane.masked);
  if (holder.dataset.run !== data.run) {
    holder.dataset.run = data.run;
    holder.replaceChildren(...masked.map(figure));
  }
  masked.forEach((lane, at) => {
    const map = data.heat.maps[lane.name];
    if (!map) return;
    const canvas = holder.children[at].querySelector("canvas");
    const layer = `${percent(map.density, 0)} of this layer is perturbed`;
    const whole = map.changed == null ? "the first mask" : `${percent(map.changed, 0)} of all mask entries flipped since the last refresh · IoU ${fixed(map.overlap, 2)}`;
    const [ofLayer, ofAll] = holder.children[at].querySelectorAll("small");
    ofLayer.textContent = layer;
    ofAll.textContent = whole;
    canvas.setAttribute("aria-label", `Mask of ${lane.title} in ${data.heat.layer}: ${layer}; ${whole}.`);
    paint(canvas, map, lane.color);
  });
}

function figure(/** @type {import("./live/data").Lane} */ lane) {
  const frame = element("div", { className: "frame" }, element("canvas", { role: "img" }));
  return element("figure", {}, element("figcaption", {}, swatch(lane), lane.title), frame, element("small"), element("small"));
}

/** Paint pixels (base64 uint8) if they have changed. */
function paint(canvas, /** @type {import("./live/payload").MaskPicture} */ { rows, columns, pixels }, color) {
  const shown = `${rows} ${columns} ${pixels}`;
  if (canvas.shown === shown) return;
  canvas.shown = shown;
  paintShares(canvas, rows, columns, unpacked(pixels), color);
}

/** Paint a share for each cell, row by row (0–255, 255 = every weight perturbed), from transparent to the lane's colour. */
export function paintShares(canvas, rows, columns, shares, color) {
  canvas.width = columns;
  canvas.height = rows;
  const shape = Math.max(0.25, Math.min(4, columns / rows)); // a very long layer must not become a hairline
  canvas.style.aspectRatio = shape;
  canvas.style.width = `${100 * Math.min(1, shape)}%`;
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let cell = 0; cell < rows * columns; cell++) {
    image.data.set([red, green, blue, shares[cell]], 4 * cell);
  }
  context.putImageData(image, 0, 0);
}
