// @ts-check
// What moves on the toy surface: the paths of the methods, their positions, and the parts of one step as numbered arrows.

const HEAD = 7; // pixels: radius of a marker
const PARTS = { gradient: "#4f7fb5", epsilon: "#d9a520", second: "#8262b5" };
const [SHORTEST, LONGEST] = [26, 64]; // pixels of a gradient's arrow

/** A path with an outline in the background colour; the last piece leads to ``tip``. A noisy path is ``thin``. */
export function drawTrail(context, view, trail, tip, style, look, thin) {
  context.beginPath();
  for (const [x, y, loss] of trail) context.lineTo(...view.place(x, y, loss));
  context.lineTo(...tip);
  context.lineJoin = "round";
  context.lineCap = "butt";
  context.strokeStyle = look.paperText;
  context.lineWidth = 4;
  context.globalAlpha = 0.55;
  if (!thin) context.stroke();
  context.globalAlpha = thin ? 0.6 : 1;
  context.strokeStyle = style.color;
  context.lineWidth = thin ? 1 : 2;
  context.setLineDash(thin ? [] : style.dashes);
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** The position of a method. */
export function drawHead(context, [x, y], { path, hollow, color }, look) {
  const marker = new Path2D();
  marker.addPath(new Path2D(path), new DOMMatrix([HEAD, 0, 0, HEAD, x, y]));
  context.lineWidth = hollow ? 5 : 3;
  context.strokeStyle = look.paperText;
  context.stroke(marker);
  context.fillStyle = hollow ? look.paperText : color;
  context.fill(marker);
  if (!hollow) return;
  context.lineWidth = 2.5;
  context.strokeStyle = color;
  context.stroke(marker);
}

/** w+ε, where a method takes its gradient: a thin line with a point. */
export function drawFeeler(context, from, to, color) {
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.strokeStyle = color;
  context.lineWidth = 1.25;
  context.stroke();
  context.beginPath();
  context.arc(...to, 3, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
}

function arrow(context, from, to, color, look, { width = 3, dashed = false } = {}) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = Math.hypot(dx, dy);
  if (length < 1) return;
  const [ux, uy] = [dx / length, dy / length];
  const head = Math.min(11, length * 0.6);
  for (const [style, wide] of [[look.paperText, width + 3], [color, width]]) {
    context.strokeStyle = style;
    context.lineWidth = wide;
    context.lineCap = "round";
    context.setLineDash(dashed ? [5, 6] : []);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(to[0] - head * (ux - 0.6 * uy), to[1] - head * (uy + 0.6 * ux));
    context.lineTo(...to);
    context.lineTo(to[0] - head * (ux + 0.6 * uy), to[1] - head * (uy - 0.6 * ux));
    context.stroke();
  }
}

/** The number of a part of the step, beside the middle of its arrow; ``side`` 1 or −1. */
function number(context, from, to, digit, color, look, lit, side = 1) {
  const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
  const [nx, ny] = [(-(to[1] - from[1]) / length) * 17 * side, ((to[0] - from[0]) / length) * 17 * side];
  const [x, y] = [(from[0] + to[0]) / 2 + nx, (from[1] + to[1]) / 2 + ny];
  context.beginPath();
  context.arc(x, y, lit ? 11 : 9, 0, 2 * Math.PI);
  context.fillStyle = lit ? look.text : look.paperText;
  context.fill();
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.stroke();
  context.fillStyle = lit ? look.paperText : look.text;
  context.font = `600 ${lit ? 13 : 12}px ${look.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(digit, x, y + 0.5);
}

/** The parts 1 to ``phase`` of one step. ε and the update are drawn to scale; a gradient's arrow shows only its direction, and
 * roughly its length. */
export function drawStep(context, view, surface, record, phase, style, look) {
  const place = ([x, y]) => view.place(x, y, surface.loss(x, y));
  const [w, at] = [place(record.w), place(record.at)];
  const perturbs = Boolean(record.mask[0] || record.mask[1]);
  const lit = (part) => part === phase;
  const shown = (part) => phase >= part && (perturbs || part === 1 || part === 6);

  function gradient(from, pixel, [gx, gy], color, part) {
    const size = Math.hypot(gx, gy);
    if (!size) return;
    const near = place([from[0] + (0.05 * gx) / size, from[1] + (0.05 * gy) / size]);
    const flat = Math.hypot(near[0] - pixel[0], near[1] - pixel[1]) || 1;
    const length = SHORTEST + (LONGEST - SHORTEST) * (1 - Math.exp(-size / 4));
    const to = [pixel[0] + ((near[0] - pixel[0]) / flat) * length, pixel[1] + ((near[1] - pixel[1]) / flat) * length];
    arrow(context, pixel, to, color, look, { width: 2.5 });
    number(context, pixel, to, part, color, look, lit(part), part === 1 ? 1 : -1);
  }

  if (shown(1)) gradient(record.w, w, record.gradient, PARTS.gradient, 1);
  if (shown(2)) {
    if (!(record.mask[0] && record.mask[1])) arrow(context, w, place(record.dense), PARTS.epsilon, look, { width: 1.5, dashed: true });
    arrow(context, w, at, PARTS.epsilon, look, { width: 3.5 });
    number(context, w, at, 2, PARTS.epsilon, look, lit(2), -1);
  }
  if (shown(3)) number(context, at, [at[0] + 0.01, at[1] + 34], 3, look.soft, look, lit(3), 0);
  if (shown(4) && record.second) gradient(record.at, at, record.second, PARTS.second, 4);
  if (phase === 5 && perturbs) {
    arrow(context, at, w, look.soft, look, { width: 2, dashed: true });
    number(context, at, w, 5, look.soft, look, true, -1);
  }
  if (phase === 6 && record.after) {
    const after = place(record.after);
    arrow(context, w, after, style.color, look, { width: 4 });
    number(context, w, after, 6, style.color, look, true, 1);
  }
}

/** Names of the places where a method may settle. */
export function drawPlaces(context, view, surface, look) {
  context.font = `600 13px ${look.font}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { at, label } of surface.places) {
    if (!label) continue;
    const [x, y] = view.place(...at, surface.loss(...at));
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = look.paperText;
    context.strokeText(label, x, y + 26);
    context.fillStyle = look.soft;
    context.fillText(label, x, y + 26);
  }
}
