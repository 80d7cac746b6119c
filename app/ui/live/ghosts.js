// @ts-check
// The race before: its curves stay as thin lines below those of the present race. A button switches them off, for this tab.

import { element, epochName, percent } from "../parts.js";
import { decoded } from "./decode.js";

const CHOICE = "race before"; // in the tab's storage
const GOING = ["queued", "starting", "running", "paused"];

/** The curves of the latest race before; kept for the page, since a panel may be mounted again. @type {{ version: string, lanes: import("./data").Lane[] }} */
let kept = { version: "", lanes: [] };

/** The lanes of the race before that has been sent, now or earlier. ``acknowledge`` keeps the server from sending them again. */
export function received(/** @type {import("./payload").Before} */ before, acknowledge) {
  if (before?.lanes) {
    const lanes = decoded(before.lanes).filter((lane) => lane.points).map((lane) => ({ ...lane, title: `before: ${lane.title}` }));
    kept = { version: before.version, lanes };
    acknowledge("kept", before.version);
  }
  return before && before.version === kept.version ? kept.lanes : [];
}

const isOn = () => sessionStorage.getItem(CHOICE) !== "off";

/** The lanes to draw and to describe beside those of the race. */
export const visible = (/** @type {import("./data").Race} */ { ghosts }) => (isOn() ? ghosts : []);

/** Where the race ends on an axis; Infinity while that is unknown. */
function endOf(/** @type {import("./data").Race} */ { ends, lanes, state, progress }, axis) {
  if (ends[axis] != null) return ends[axis];
  const isGoing = state === "recorded" ? progress < 1 : GOING.includes(state);
  return isGoing ? Infinity : Math.max(...lanes.flatMap((lane) => [lane.steps[axis].at(-1) ?? 0, lane.epochs.at(-1)?.[axis] ?? 0]));
}

/** The visible lanes of the race before, up to the end of the present one: they may not make its axis longer. */
export function upToEnd(/** @type {import("./data").Race} */ data, axis) {
  const end = endOf(data, axis);
  return visible(data).map((lane) => {
    const count = lane.steps[axis].filter((at) => at <= end).length;
    const steps = /** @type {typeof lane.steps} */ (Object.fromEntries(Object.entries(lane.steps).map(([name, values]) => [name, values.slice(0, count)])));
    return { ...lane, steps, epochs: lane.epochs.filter((epoch) => epoch[axis] <= end) };
  });
}

/** A thin line without markers and without a hover text. */
export function thinLine(/** @type {import("./data").Lane} */ { title, color, dash }, /** @type {{ x: import("./data").Values, y: import("./data").Values }} */ points) {
  return { type: "scatter", mode: "lines", ...points, name: title, hoverinfo: "skip", opacity: 0.4, line: { color, dash, width: 1.5 } };
}

/** The newest accuracies of the visible lanes of the race before, in a sentence. */
export function spoken(/** @type {import("./data").Race} */ data) {
  const told = visible(data).filter(({ epochs }) => epochs.length).map(({ title, epochs }) => {
    const { test_accuracy: accuracy, epoch } = epochs.at(-1);
    return `${title} ${percent(accuracy)} after epoch ${epochName(epoch)}`;
  });
  return told.length ? ` ${told.join("; ")}.` : "";
}

/** Put the button and what the thin lines are into ``holder``. Return what updates them. */
export function prepareGhosts(holder, redraw) {
  const button = element("button", { type: "button", textContent: "Race before" });
  const words = element("span");
  holder.append(button, words);
  button.onclick = () => {
    sessionStorage.setItem(CHOICE, isOn() ? "off" : "on");
    redraw();
  };
  return (/** @type {import("./data").Race} */ { ghosts, before }) => {
    holder.hidden = !ghosts.length;
    button.ariaPressed = String(isOn());
    words.textContent = isOn() && before ? before.words : "";
  };
}
