// @ts-check
// The ground of the toy surface: its grid and contour lines, computed once per surface, and its two views. A view has ``place``
// (x, y, loss → pixels), ``at`` (pixels → x, y) and ``paint``. All lengths are CSS pixels.

const [COLUMNS, ROWS] = [160, 120]; // cells of the grid
const MESH = 4; // grid cells per side of a facet in perspective
const LEVELS = 14;
const MARGIN = 0.06; // share of the picture around the surface in perspective
const TILT = 0.62; // radians by which the perspective looks down
const DISTANCE = 3.4; // of the camera, in widths of the surface
const HEIGHT = 0.42; // of the surface, in its widths
const LIGHT = [-0.48, 0.64, -0.6]; // direction it comes from: right, up, away from the camera
const BASE = -0.04; // height of the frame below the surface

/** 0 at the lowest loss to 1 far up: heights and colours saturate, so that steep walls do not hide the valleys. */
export const heightOf = (loss, top) => 1 - Math.exp(-Math.max(0, loss) / (top / 2));

const grounds = new Map();

/** The heights on a grid and the contour lines in the surface's own coordinates. */
export function groundOf(name, { loss, box, top }) {
  if (!grounds.has(name)) {
    const [left, right, bottom, up] = box;
    const x = (column) => left + ((right - left) * column) / COLUMNS;
    const y = (row) => bottom + ((up - bottom) * row) / ROWS;
    const heights = new Float64Array((COLUMNS + 1) * (ROWS + 1));
    for (let row = 0; row <= ROWS; row++) for (let column = 0; column <= COLUMNS; column++) heights[row * (COLUMNS + 1) + column] = heightOf(loss(x(column), y(row)), top);
    const lines = Array.from({ length: LEVELS }, (_, level) => contour(heights, (level + 0.5) / LEVELS, x, y));
    grounds.set(name, { heights, lines, x, y });
  }
  return grounds.get(name);
}

/** Marching squares: the pieces of one contour line, [x, y, x, y] each. */
function contour(heights, level, x, y) {
  const pieces = [];
  const height = (column, row) => heights[row * (COLUMNS + 1) + column];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const cuts = [];
      for (let side = 0; side < 4; side++) {
        const [a, b] = [corners[side], corners[(side + 1) % 4]];
        const [low, high] = [height(...a), height(...b)];
        if (low < level === high < level) continue;
        const share = (level - low) / (high - low);
        cuts.push(x(a[0] + share * (b[0] - a[0])), y(a[1] + share * (b[1] - a[1])));
      }
      for (let at = 0; at + 3 < cuts.length; at += 4) pieces.push(cuts.slice(at, at + 4));
    }
  }
  return pieces;
}

/** A colour between two, each [red, green, blue]. */
const mixed = (from, to, share) => `rgb(${from.map((part, at) => Math.round(part + (to[at] - part) * share)).join(" ")})`;

/** Lower is closer to the text's colour on a light page, to the background's on a dark one: darker is lower. In perspective
 * the facets have a ``shadow`` too. */
function shadeOf(height, { ink, paper, dark }, shadow = null) {
  if (shadow === null) return mixed(paper, ink, dark ? 0.04 + 0.2 * height : 0.02 + 0.26 * (1 - height));
  return mixed(paper, ink, dark ? 0.05 + 0.3 * height * (1 - 0.6 * shadow) + 0.06 * (1 - shadow) : 0.02 + 0.26 * (1 - height) + 0.12 * shadow);
}

/** The shading of a facet lit from the upper left, 0 to 1; its corners are [right, up, depth]. */
function shadowOf([a, b, , d]) {
  const [u, v] = [b.map((part, at) => part - a[at]), d.map((part, at) => part - a[at])];
  const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const light = normal[0] * LIGHT[0] + normal[1] * LIGHT[1] + normal[2] * LIGHT[2];
  return 0.5 - (0.5 * light) / (Math.hypot(...normal) || 1);
}

/** View from above. The box fills the picture. */
export function contourView(surface, ground, width, height) {
  const [left, right, bottom, top] = surface.box;
  const scale = Math.min(width / (right - left), height / (top - bottom));
  const [offX, offY] = [(width - scale * (right - left)) / 2, (height - scale * (top - bottom)) / 2];
  const place = (x, y) => [offX + (x - left) * scale, height - offY - (y - bottom) * scale];
  const at = (px, py) => [left + (px - offX) / scale, bottom + (height - offY - py) / scale];

  function paint(context, look) {
    const bands = 2 * LEVELS;
    const picture = new ImageData(COLUMNS, ROWS);
    const shades = Array.from({ length: bands + 1 }, (_, band) => shadeOf(band / bands, look).match(/\d+/g).map(Number));
    for (let row = 0; row < ROWS; row++) {
      for (let column = 0; column < COLUMNS; column++) {
        const shade = shades[Math.round(ground.heights[row * (COLUMNS + 1) + column] * bands)];
        picture.data.set([...shade, 255], 4 * ((ROWS - 1 - row) * COLUMNS + column));
      }
    }
    const small = new OffscreenCanvas(COLUMNS, ROWS);
    small.getContext("2d").putImageData(picture, 0, 0);
    context.imageSmoothingQuality = "high";
    const [x0, y0] = place(left, top);
    context.drawImage(small, x0, y0, scale * (right - left), scale * (top - bottom));
    for (const [level, pieces] of ground.lines.entries()) {
      context.beginPath();
      for (const [ax, ay, bx, by] of pieces) {
        context.moveTo(...place(ax, ay));
        context.lineTo(...place(bx, by));
      }
      context.strokeStyle = mixed(look.paper, look.ink, (level % 2 ? 0.22 : 0.32) + (look.dark ? 0.08 : 0));
      context.lineWidth = 1;
      context.stroke();
    }
    ticks(context, surface, place, look, height);
  }

  return { place, at, paint };
}

/** Integers along the lower and the left edge. */
function ticks(context, { box: [left, right, bottom, top] }, place, look, height) {
  context.fillStyle = look.soft;
  context.font = `12px ${look.font}`;
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  const said = (value) => String(value).replace("-", "−");
  for (let x = Math.ceil(left + 0.1); x <= right - 0.3; x++) context.fillText(x ? said(x) : "x = 0", place(x, 0)[0], height - 6);
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (let y = Math.ceil(bottom + 0.2); y <= top - 0.2; y++) context.fillText(y ? said(y) : "y = 0", 6, place(0, y)[1]);
}

/** View from a corner, rotated by ``turn`` degrees. */
export function perspectiveView(surface, ground, width, height, turn) {
  const [left, right, bottom, top] = surface.box;
  const [middleX, middleY, size] = [(left + right) / 2, (bottom + top) / 2, right - left];
  const angle = (turn * Math.PI) / 180;
  const [cos, sin, down, level] = [Math.cos(angle), Math.sin(angle), Math.sin(TILT), Math.cos(TILT)];

  /** Coordinates before scaling to the picture: right, up, and distance from the camera. */
  function project(x, y, high) {
    const [u, v] = [(x - middleX) / size, (y - middleY) / size];
    const [across, along, up] = [u * cos - v * sin, u * sin + v * cos, (high - 0.4) * HEIGHT];
    const depth = DISTANCE + along * level - up * down;
    return [(across * DISTANCE) / depth, ((along * down + up * level) * DISTANCE) / depth, depth];
  }

  const corners = [left, right].flatMap((x) => [bottom, top].flatMap((y) => [BASE, 1].map((high) => project(x, y, high))));
  const edge = (part, pick) => Math.min(...corners.map((corner) => pick * corner[part])) * pick;
  const [west, east, south, north] = [edge(0, 1), edge(0, -1), edge(1, 1), edge(1, -1)];
  const scale = Math.min((width * (1 - MARGIN)) / (east - west), (height * (1 - MARGIN)) / (north - south));
  const fit = (/** @type {number[]} */ [across, up]) => [width / 2 + (across - (west + east) / 2) * scale, height / 2 - (up - (south + north) / 2) * scale];
  const place = (x, y, loss) => fit(project(x, y, heightOf(loss, surface.top)));

  const points = []; // of the mesh, row by row: pixels, depth, height
  for (let row = 0; row <= ROWS; row += MESH) {
    for (let column = 0; column <= COLUMNS; column += MESH) {
      const high = ground.heights[row * (COLUMNS + 1) + column];
      const projected = project(ground.x(column), ground.y(row), high);
      points.push({ pixel: fit(projected), projected, depth: projected[2], high, x: ground.x(column), y: ground.y(row) });
    }
  }
  const across = COLUMNS / MESH + 1;

  /** The mesh point nearest to the camera among those drawn close to the pixel. */
  function at(px, py) {
    const far = ({ pixel }) => Math.hypot(pixel[0] - px, pixel[1] - py);
    const closest = Math.min(...points.map(far));
    const found = points.filter((point) => far(point) < closest + 4).sort((a, b) => a.depth - b.depth)[0];
    return [found.x, found.y];
  }

  /** Facets, the farthest first. */
  function paint(context, look) {
    const facets = [];
    for (let row = 0; row < ROWS / MESH; row++) {
      for (let column = 0; column < across - 1; column++) {
        const first = row * across + column;
        const four = [first, first + 1, first + across + 1, first + across].map((number) => points[number]);
        facets.push({ four, depth: four.reduce((sum, { depth }) => sum + depth, 0) });
      }
    }
    facets.sort((a, b) => b.depth - a.depth);
    context.strokeStyle = mixed(look.paper, look.ink, 0.35);
    context.lineWidth = 1;
    context.beginPath();
    for (const [x, y] of [[left, bottom], [right, bottom], [right, top], [left, top]]) context.lineTo(...fit(project(x, y, BASE)));
    context.closePath();
    context.stroke();
    context.lineWidth = 0.75;
    context.strokeStyle = mixed(look.paper, look.ink, look.dark ? 0.36 : 0.32);
    for (const { four } of facets) {
      context.beginPath();
      for (const { pixel } of four) context.lineTo(...pixel);
      context.closePath();
      context.fillStyle = shadeOf(four.reduce((sum, { high }) => sum + high, 0) / 4, look, shadowOf(four.map(({ projected }) => projected)));
      context.fill();
      context.stroke();
    }
    context.fillStyle = look.soft;
    context.font = `13px ${look.font}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const named = (name, x, y) => context.fillText(name, ...fit(project(x, y, BASE)));
    const out = 0.05 * size;
    named("x", middleX, cos > 0 ? bottom - out : top + out);
    named("y", sin > 0 ? left - out : right + out, middleY);
  }

  return { place, at, paint };
}
