// @ts-check
// Links from an epoch of a lane to the pages that look inside it. Two lists choose both; so does a click on a point of the
// accuracy chart.

import { element, epochName } from "../parts.js";

/** The pages that have something of this lane at this epoch, with their words of the address. */
function places(/** @type {import("./data").Race} */ { run, inside }, /** @type {import("./data").Lane} */ lane, epoch) {
  const at = { run, lanes: lane.name, epoch: String(epoch) };
  const saved = inside.weights.includes(epoch) ? String(epoch) : null; // else, at the end, the latest weights
  const found = [];
  if (saved || isLatest(inside, lane, epoch)) {
    found.push({ page: "anatomy", title: "Anatomy", address: { run, lane: lane.name, epoch: saved ?? "newest" } });
    found.push({ page: "flatness", title: "Flatness", address: { run, kind: "surface", ...(saved && { epochs: saved }) } });
  }
  if (lane.masked) found.push({ page: "masks", title: "Masks", address: at });
  if (inside.images) found.push({ page: "images", title: "Images", address: at });
  return found;
}

/** Whether the weights of the end of the race are those of this epoch. */
const isLatest = (/** @type {import("./payload").Inside} */ { latest }, /** @type {import("./data").Lane} */ lane, epoch) => latest && lane.state === "finished" && epoch === lane.epochs.at(-1).epoch;

/** Why Anatomy and Flatness are not linked; empty where they are. */
function withoutWeights(/** @type {import("./data").Race} */ { replay }, found) {
  if (found.some(({ page }) => page === "anatomy")) return "";
  return replay ? "A recording has no weights for Anatomy and Flatness." : "No weights were saved at this epoch for Anatomy and Flatness.";
}

/** Of the points below the cursor, one of each lane, the nearest one. */
function nearest(chart, { points, event }) {
  const y = event.clientY - chart.getBoundingClientRect().top - chart.layout.margin.t;
  const distance = (point) => Math.abs(point.yaxis.d2p(point.y) - y);
  return points.filter((point) => point.data.meta).sort((a, b) => distance(a) - distance(b))[0];
}

/** Put the lists and the links before ``neighbour``; ``state`` is the live panel's. ``show`` updates them; ``listen`` takes clicks on the
 *  chart, once it is drawn. */
export function prepareInside(neighbour, state) {
  const lanes = element("select"), epochs = element("select"), links = element("span"), why = element("p");
  const lists = [element("label", {}, "Look inside ", lanes), element("label", {}, "at epoch ", epochs)];
  const root = element("nav", { className: "inside", ariaLabel: "Pages that look inside a lane at an epoch" }, ...lists, links, why);
  neighbour.before(root);
  const chosen = { run: "", lane: "", epoch: null, drawn: "" }; // epoch null: the newest one

  lanes.onchange = () => choose(lanes.value, chosen.epoch);
  epochs.onchange = () => choose(chosen.lane, Number(epochs.value));

  function choose(lane, epoch) {
    Object.assign(chosen, { lane, epoch });
    show();
  }

  function show() {
    const /** @type {import("./data").Race} */ data = state.data;
    const evaluated = data.inside ? data.lanes.filter((each) => each.epochs.length) : [];
    root.hidden = !evaluated.length;
    if (root.hidden) return;
    if (chosen.run !== data.run) Object.assign(chosen, { run: data.run, lane: evaluated[0].name, epoch: null });
    const lane = evaluated.find(({ name }) => name === chosen.lane) ?? evaluated[0];
    const known = [...new Set(lane.epochs.map(({ epoch }) => epoch))];
    const epoch = known.includes(chosen.epoch) ? chosen.epoch : known.at(-1);
    const made = JSON.stringify([data.run, data.inside, data.state, evaluated.map(({ name }) => name), known, lane.name, epoch]);
    if (made === chosen.drawn) return; // a list that is open stays so while a recording plays
    chosen.drawn = made;
    lanes.replaceChildren(...evaluated.map(({ title, name }) => new Option(title, name, false, name === lane.name)));
    epochs.replaceChildren(...known.map((each) => new Option(epochName(each), String(each), false, each === epoch)));
    const found = places(data, lane, epoch);
    links.replaceChildren(...found.flatMap((place) => [link(data.inside.base, place), " "]));
    why.textContent = withoutWeights(data, found);
  }

  function link(base, { page, title, address }) {
    const made = element("a", { href: `${base}/${page}?${new URLSearchParams(address)}`, textContent: title });
    made.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab or window: leave it to the browser
      event.preventDefault();
      state.trigger("open", { page, address });
    };
    return made;
  }

  function listen(chart) {
    if (chart.dataset.listens) return;
    chart.dataset.listens = "yes";
    chart.on("plotly_click", (event) => {
      const point = nearest(chart, event);
      const lane = state.data.lanes.find(({ name }) => name === point?.data.meta);
      const evaluation = lane?.epochs.find((each) => each[state.axis] === point.x);
      if (evaluation) choose(lane.name, evaluation.epoch);
    });
  }

  return { show, listen };
}
