// @ts-check
// Decode numbers and pictures from the server; wire.py is the other end.

/** @typedef {import("./wire_types").Floats} Floats */
/** @typedef {import("./wire_types").Pixels} Pixels */
/** @typedef {import("./wire_types").Packed} Packed */

/** @param {string} text */
function bytes(text) {
  const characters = atob(text);
  const made = new Uint8Array(characters.length);
  for (let at = 0; at < made.length; at++) made[at] = characters.charCodeAt(at);
  return made;
}

/** The numbers, null for a gap as Plotly wants it. @param {Floats} text @returns {(number | null)[]} */
export function floats(text) {
  return Array.from(new Float32Array(bytes(text).buffer), (value) => (Number.isNaN(value) ? null : value));
}

/** A byte a cell. @param {Pixels} text */
export const pixels = (text) => bytes(text);

/** What was compressed, as bytes. @param {Packed} text */
export async function inflate(text) {
  const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
