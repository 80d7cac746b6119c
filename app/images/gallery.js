// @ts-check
// Some test images side by side, with a line each. mount(host) returns {update, unmount}.

import { element } from "../ui/parts.js";
import { detailsTable, tableOf } from "../ui/tables.js";
import { inflate } from "../ui/wire.js";
import { contactSheet } from "./pictures.js";

/** @typedef {{title: string, side: number, channels: number, pictures: import("../ui/wire_types").Packed, lines: string[]}} Gallery */

export function mount(host) {
  const [heading, list] = [element("h3"), element("ul")];
  const state = { data: /** @type {Gallery} */ (null), asked: 0 };
  const table = detailsTable(() => [tableOf(state.data.title, ["Image", "Predictions"], state.data.lines.map((line, at) => [String(at + 1), line]))]);
  const root = element("section", {}, heading, list, table);

  async function update({ data }) {
    const asked = ++state.asked;
    const bytes = await inflate(data.pictures);
    if (asked !== state.asked) return; // superseded by a newer one
    state.data = data;
    if (!root.isConnected) host.replaceChildren(root);
    root.ariaLabel = heading.textContent = data.title;
    const sheet = contactSheet(bytes, data.lines.length, data.side, data.channels, 1);
    list.replaceChildren(...data.lines.map((line, at) => item(data, sheet, line, at)));
    table.hidden = !data.lines.length;
    table.refresh();
  }

  function item(/** @type {Gallery} */ { side }, sheet, line, at) {
    const canvas = element("canvas", { width: side, height: side, role: "img", ariaLabel: `Image ${at + 1}: ${line}` });
    canvas.getContext("2d").drawImage(sheet, 0, at * side, side, side, 0, 0, side, side);
    return element("li", {}, canvas, element("small", { textContent: line }));
  }

  function unmount() {
    state.asked = -1;
    root.remove();
  }

  return { update, unmount };
}
