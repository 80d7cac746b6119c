// @ts-check
// Lanes as the panel draws them, from lanes as they are sent.

import { floats } from "../wire.js";

/** Columns as numbers. @template {string} Name @returns {Record<Name, (number | null)[]>} */
function unpacked(/** @type {Record<Name, import("../wire_types").Floats>} */ columns) {
  return /** @type {any} */ (Object.fromEntries(Object.entries(columns).map(([name, text]) => [name, floats(/** @type {any} */ (text))])));
}

/** One object for each row of columns of equal length. @template {string} Name @returns {Record<Name, number | null>[]} */
function rows(/** @type {Record<Name, (number | null)[]>} */ columns) {
  const names = /** @type {Name[]} */ (Object.keys(columns));
  return columns[names[0]].map((_, at) => /** @type {any} */ (Object.fromEntries(names.map((name) => [name, columns[name][at]]))));
}

/** The lanes with their steps as columns and their evaluations as rows of numbers. @returns {import("./data").Lane[]} */
export function decoded(/** @type {import("./payload").Lane[]} */ lanes) {
  return lanes.map((lane) => ({ ...lane, steps: unpacked(lane.steps), epochs: rows(unpacked(/** @type {Required<typeof lane.epochs>} */ (lane.epochs))) }));
}
