// @ts-check
// The mathematics of the toy surface: losses of two weights with their gradients, and the steps of the methods on them, in float64
// and in the order of operations of ssam.SAM on torch's SGD. No page, no clock: tests/test_surface.py runs it beside those two.

const TINY = 1e-12; // keeps a zero gradient from dividing by zero, as in ssam.optim.perturbation
const FAR = 1e4; // a weight beyond this has diverged

/** −log(e^(−a) + e^(−b)): the soft minimum of two valleys {at, curvature, height}. */
function valleys(first, second) {
  const bowl = ({ at, curvature, height }, x, y) => height + 0.5 * (curvature[0] * (x - at[0]) ** 2 + curvature[1] * (y - at[1]) ** 2);
  const slope = ({ at, curvature }, x, y) => [curvature[0] * (x - at[0]), curvature[1] * (y - at[1])];
  return {
    loss(x, y) {
      const [a, b] = [bowl(first, x, y), bowl(second, x, y)];
      return Math.min(a, b) - Math.log1p(Math.exp(-Math.abs(a - b)));
    },
    gradient(x, y) {
      const share = 1 / (1 + Math.exp(bowl(first, x, y) - bowl(second, x, y))); // weight of the first
      const [a, b] = [slope(first, x, y), slope(second, x, y)];
      return [share * a[0] + (1 - share) * b[0], share * a[1] + (1 - share) * b[1]];
    },
    valley: (x, y) => (bowl(first, x, y) < bowl(second, x, y) ? "the sharp valley" : "the flat valley"),
  };
}

const near = (at, distance) => (x, y) => Math.hypot(x - at[0], y - at[1]) < distance;
const SHARP = { at: [-1.5, 0], curvature: [10, 1], height: 0.011 };
const FLAT = { at: [1.5, 0], curvature: [1, 1], height: 0 };
const NEEDLE = { at: [-1.6, 0], curvature: [14, 14], height: 0.018 };
const BASIN = { at: [1.6, 0], curvature: [0.6, 0.6], height: 1 };

/** Each surface: loss and gradient, box [left, right, bottom, top], top (the loss at which heights and colours saturate), the
 * places where a method may settle (name, label on the picture and its position, and a test for being there), and
 * with two valleys, in which one a point is. */
export const SURFACES = {
  valleys: {
    ...valleys(SHARP, FLAT),
    box: [-2.8, 3.2, -2.25, 2.25],
    top: 3,
    places: [
      { name: "the sharp minimum", label: "sharp", at: SHARP.at, there: near(SHARP.at, 0.6) },
      { name: "the flat minimum", label: "flat", at: FLAT.at, there: near(FLAT.at, 0.8) },
    ],
  },
  canyon: {
    loss: (x, y) => 0.5 * (0.5 + 4 * y * y) * x * x,
    gradient: (x, y) => [(0.5 + 4 * y * y) * x, 4 * x * x * y],
    box: [-2.4, 2.4, -1.8, 1.8],
    top: 4,
    places: [
      { name: "the flat stretch of the floor", label: "flat", at: [0, 0], there: (x, y) => Math.abs(x) < 0.6 && Math.abs(y) < 0.25 },
      { name: "a steep stretch of the floor", label: "steep", at: [0, -1.3], there: (x, y) => Math.abs(x) < 0.6 && Math.abs(y) > 0.6 },
    ],
  },
  bowl: {
    loss: (x, y) => 0.5 * (24 * x * x + 0.5 * y * y),
    gradient: (x, y) => [24 * x, 0.5 * y],
    box: [-2.4, 2.4, -1.8, 1.8],
    top: 10,
    places: [{ name: "the minimum", label: "minimum", at: [0, 0], there: near([0, 0], 0.3) }],
  },
  saddle: {
    loss: (x, y) => 1.5 * x * x + 0.25 * (y * y - 1) ** 2,
    gradient: (x, y) => [3 * x, y * (y * y - 1)],
    box: [-2.2, 2.2, -1.65, 1.65],
    top: 1.5,
    places: [
      { name: "a minimum", label: "minimum", at: [0, -1], there: (x, y) => Math.hypot(x, Math.abs(y) - 1) < 0.35 },
      { name: "the saddle", label: "saddle", at: [0, 0], there: near([0, 0], 0.35) },
    ],
  },
  needle: {
    ...valleys(NEEDLE, BASIN),
    box: [-2.9, 3.1, -2.25, 2.25],
    top: 3,
    places: [
      { name: "the sharp, better minimum", label: "sharp, loss 0", at: NEEDLE.at, there: near(NEEDLE.at, 0.4) },
      { name: "the flat, worse minimum", label: "flat, loss 1", at: BASIN.at, there: near(BASIN.at, 0.8) },
    ],
  },
};

/** The largest eigenvalue of the Hessian, from central differences of the gradient. */
export function curvature(surface, [x, y]) {
  const h = 1e-4;
  const [right, left] = [surface.gradient(x + h, y), surface.gradient(x - h, y)];
  const [up, down] = [surface.gradient(x, y + h), surface.gradient(x, y - h)];
  const [xx, yy] = [(right[0] - left[0]) / (2 * h), (up[1] - down[1]) / (2 * h)];
  const xy = (right[1] - left[1] + up[0] - down[0]) / (4 * h);
  return 0.5 * (xx + yy) + Math.hypot(0.5 * (xx - yy), xy);
}

/** A hash: an integer from 0 to 2³² − 1. */
function scatter(number) {
  let z = (number + 0x9e3779b9) | 0;
  z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
  return (z ^ (z >>> 16)) >>> 0;
}

/** Two independent standard normal numbers (Box–Muller), determined by seed and step alone. */
export function normals(seed, step) {
  const key = scatter(scatter(seed) ^ step);
  const [u, v] = [(scatter(key) + 1) / 2 ** 32, scatter(key ^ 0x55555555) / 2 ** 32];
  const radius = Math.sqrt(-2 * Math.log(u));
  return [radius * Math.cos(2 * Math.PI * v), radius * Math.sin(2 * Math.PI * v)];
}

/** Which of x and y a method perturbs: 1 or 0 for each. ``mask`` is the axis that SSAM perturbs, "x" or "y". */
export function maskOf(method, mask) {
  if (method === "sam") return [1, 1];
  if (method === "ssam") return mask === "x" ? [1, 0] : [0, 1];
  return [0, 0];
}

/** A method at its start. ``velocity`` is SGD's momentum buffer, set from the first step with momentum on. */
export function begin(method, [x, y]) {
  return { method, w: [x, y], velocity: null, steps: 0, ascent: null, last: null, diverged: false };
}

/** The gradient of a batch: the surface's plus the noise of this step. Both gradients of one step use one batch, so they get the
 * same noise. "noise" is SGD with it; the other methods have it where ``noisy`` is "all". */
function batchGradient(lane, surface, at, { noise, noisy, seed }) {
  const [x, y] = surface.gradient(at[0], at[1]);
  if (noise === 0 || (lane.method !== "noise" && noisy !== "all")) return [x, y];
  const [a, b] = normals(seed, lane.steps);
  return [x + noise * a, y + noise * b];
}

/** First half: the gradient at w, ε = ρ m⊙g/‖g‖ with the norm of the whole gradient, and w+ε. */
export function ascend(lane, surface, settings) {
  if (lane.diverged || lane.ascent) return;
  const mask = maskOf(lane.method, settings.mask);
  const gradient = batchGradient(lane, surface, lane.w, settings);
  const norm = Math.sqrt(gradient[0] * gradient[0] + gradient[1] * gradient[1]);
  const factor = settings.rho / (norm + TINY);
  const epsilon = [mask[0] * gradient[0] * factor, mask[1] * gradient[1] * factor];
  const at = [lane.w[0] + epsilon[0], lane.w[1] + epsilon[1]];
  const dense = [lane.w[0] + gradient[0] * factor, lane.w[1] + gradient[1] * factor]; // w+ε without the mask, drawn beside it
  lane.ascent = { w: lane.w, mask, gradient, norm, epsilon, at, dense, second: null, update: null, after: null };
}

/** The gradient at w+ε; a method that perturbs nothing reuses that at w. */
export function lookAhead(lane, surface, settings) {
  const { ascent } = lane;
  if (!ascent || ascent.second) return;
  const perturbs = ascent.mask[0] || ascent.mask[1];
  ascent.second = perturbs ? batchGradient(lane, surface, ascent.at, settings) : ascent.gradient;
}

/** Second half: back at w, SGD steps with the gradient from w+ε. */
export function descend(lane, surface, { lr, momentum, ...settings }) {
  const { ascent } = lane;
  if (!ascent) return;
  lookAhead(lane, surface, settings);
  let step = ascent.second;
  if (momentum === 0) lane.velocity = null;
  else {
    const before = lane.velocity;
    step = before ? [momentum * before[0] + step[0], momentum * before[1] + step[1]] : step;
    lane.velocity = step;
  }
  ascent.update = [-lr * step[0], -lr * step[1]];
  ascent.after = [lane.w[0] + ascent.update[0], lane.w[1] + ascent.update[1]];
  lane.last = ascent;
  lane.ascent = null;
  lane.steps += 1;
  lane.diverged = !ascent.after.every((value) => Math.abs(value) < FAR);
  if (!lane.diverged) lane.w = ascent.after;
}

/** One whole step, or the rest of one. */
export function step(lane, surface, settings) {
  ascend(lane, surface, settings);
  descend(lane, surface, settings);
}
