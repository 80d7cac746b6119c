// @ts-check
// The pictures of the live panel as tables. A table is written when it is opened, and again with every tick while it is open.

import { element, fixed, percent, times } from "./parts.js";
import { EPOCH_CURVES, runningMean, STEP_CURVES } from "./live/charts.js";
import { pixels as unpacked } from "./wire.js";

const ROWS = 12; // of a curve's table, at most
const CELLS = 8; // per side of a mask's table, at most

/** A table with a heading; the first cell of every row names it. */
export function tableOf(heading, columns, rows) {
  const cell = (tag, scope) => (textContent) => Object.assign(element(tag, { textContent }), scope && { scope });
  const line = (first, ...rest) => element("tr", {}, cell("th", "row")(first), ...rest.map(cell("td")));
  const head = element("thead", {}, element("tr", {}, ...columns.map(cell("th", "col"))));
  return element("table", {}, element("caption", { textContent: heading }), head, element("tbody", {}, ...rows.map((row) => line(...row))));
}

/** "As a table", folded away; ``write`` returns its tables. The node's ``refresh`` writes them again if it is open. */
export function detailsTable(write) {
  const holder = element("div");
  const made = element("details", { className: "words" }, element("summary", { textContent: "As a table" }), holder);
  made.refresh = () => made.open && holder.replaceChildren(...write());
  made.ontoggle = made.refresh;
  return made;
}

/** The share of each part of a mask: cells (0–255, row by row) pooled to at most CELLS per side. */
export function pooledTable(heading, rows, columns, cells) {
  const parts = (size) => Array.from({ length: Math.min(size, CELLS) }, (_, at, all = Math.min(size, CELLS)) => [Math.floor((at * size) / all), Math.floor(((at + 1) * size) / all)]);
  const named = (/** @type {number[]} */ [from, to]) => (to - from === 1 ? `${to}` : `${from + 1}–${to}`);
  const mean = (/** @type {number[]} */ [top, bottom], /** @type {number[]} */ [left, right]) => {
    let sum = 0;
    for (let row = top; row < bottom; row++) for (let column = left; column < right; column++) sum += cells[row * columns + column];
    return sum / 255 / ((bottom - top) * (right - left));
  };
  const across = parts(columns);
  return tableOf(heading, ["Row \\ column", ...across.map(named)], parts(rows).map((down) => [named(down), ...across.map((part) => percent(mean(down, part), 0))]));
}

/** At most ROWS of them, evenly, with the last. */
function thinned(list) {
  const step = Math.ceil(list.length / ROWS);
  return list.filter((_, at) => (list.length - 1 - at) % step === 0);
}

function accuracyTables(/** @type {import("./live/data").Race} */ { lanes }) {
  const known = lanes.map((lane) => new Map(lane.epochs.map((epoch) => [epoch.epoch, epoch.test_accuracy])));
  const epochs = [...new Set(lanes.flatMap((lane) => lane.epochs.map(({ epoch }) => epoch)))].sort((a, b) => a - b);
  return [tableOf("Test accuracy", ["Epoch", ...lanes.map(({ title }) => title)], thinned(epochs).map((epoch) => [fixed(epoch, 1), ...known.map((lane) => percent(lane.get(epoch)))]))];
}

/** The points of a lane's curve, as [where, value]. */
function points(/** @type {import("./live/data").Lane} */ lane, curve, axis) {
  if (curve in EPOCH_CURVES) return lane.epochs.map((epoch) => [epoch[axis], EPOCH_CURVES[curve](epoch)]).filter(([, value]) => value != null);
  const { x, y } = curve === "convergence" ? runningMean(lane.steps.step, lane.steps.grad_norm) : { x: lane.steps[axis], y: lane.steps[curve] };
  return x.map((where, at) => [where, y[at]]).filter(([, value]) => value != null);
}

/** Lanes need not have points at the same places: a row for each of some places, with each lane's last point before it. */
function stepsTables(/** @type {import("./live/data").Race} */ { lanes }, axis, curve) {
  const drawn = lanes.map((lane) => points(lane, curve, axis));
  const places = thinned([...new Set(drawn.flatMap((lane) => lane.map(([where]) => where)))].sort((a, b) => a - b));
  const value = (lane, place) => lane.findLast(([where]) => where <= place)?.[1];
  const number = (found) => (found == null ? "–" : Number(found.toPrecision(3)).toString());
  const by = curve === "convergence" ? "step" : axis;
  return [tableOf(STEP_CURVES[curve].title, [by, ...lanes.map(({ title }) => title)], places.map((place) => [Number(place.toPrecision(3)).toString(), ...drawn.map((lane) => number(value(lane, place)))]))];
}

function maskTables(/** @type {import("./live/data").Race} */ { heat, lanes }) {
  if (!heat) return [];
  const shown = lanes.filter((lane) => heat.maps[lane.name]).map(({ title, name }) => ({ title, map: heat.maps[name] }));
  const numbers = shown.map(({ title, map }) => [title, percent(map.density, 0), percent(map.changed, 0), fixed(map.overlap, 2)]);
  const pictures = shown.map(({ title, map: { rows, columns, pixels } }) => pooledTable(`${title}: perturbed share of each part of ${heat.layer}`, rows, columns, unpacked(pixels)));
  return [tableOf(`Masks of ${heat.layer}`, ["Lane", "Perturbed in this layer", "Mask entries flipped", "IoU with previous mask"], numbers), ...pictures];
}

function timingTables(/** @type {import("./live/data").Race} */ { lanes, phases }) {
  const rows = lanes.map((lane) => [lane.title, ...phases.map(({ name }) => fixed(lane.phases[name], 2)), times(lane.ratio), times(lane.counted)]);
  return [tableOf("Milliseconds per step", ["Lane", ...phases.map(({ title }) => title), "× SGD", "FLOPs ×"], rows)];
}

/** Put a folded table below each panel; ``state`` is the live panel's: data, axis, curve. Return what refreshes the open ones. */
export function prepareTables(root, state) {
  const writers = { accuracy: accuracyTables, steps: stepsTables, masks: maskTables, timing: timingTables };
  const tables = Object.entries(writers).map(([name, write]) => {
    const made = detailsTable(() => (state.data ? write(state.data, state.axis, state.curve) : []));
    root.querySelector(`[data-panel="${name}"]`).append(made);
    return made;
  });
  return () => tables.forEach((table) => table.refresh());
}
