// @ts-check
// The training images as tiles, a panel for each lane, played in the browser. mount(host) returns {update, unmount}.

import { count, element, epochName, swatch } from "../ui/parts.js";
import { scrubber } from "../ui/playing.js";
import { detailsTable, tableOf } from "../ui/tables.js";
import { inflate } from "../ui/wire.js";
import { contactSheet } from "./pictures.js";
import { backdrop, layersOf, layoutOf, paint, tileAt } from "./panel.js";

/** @typedef {import("../ui/wire_types").Packed} Packed */
/** @typedef {import("../ui/wire_types").LaneStyle & {name: string, which: number[], predictions: Packed, hits: number[], resisted: number[], since: (number | null)[]}} SentLane */
/** @typedef {Omit<SentLane, "predictions"> & {predictions: Int16Array}} Lane */
/** @typedef {{run: string, noisy: boolean, epochs: number[], start: number | null, classes: string[], side: number, channels: number, pictures: Packed, rows: number[], given: number[], true: number[], total: number}} Images */
/** @typedef {Images & {lanes: SentLane[]}} Sent */
/** @typedef {Images & {lanes: Lane[]}} Tiles */

const FRAME = 350; // milliseconds
const IDLE = 300; // milliseconds that the reader must stay at an epoch before the server is told
const LISTED = 50; // images in the table
const BIG = 84; // pixels, the side of the enlarged picture

const SKELETON = `
  <h3></h3>
  <p class="key" aria-hidden="true"></p>
  <div class="tools">
    <button type="button" class="play"></button>
    <input type="range" min="0" step="1" aria-label="Epoch">
    <output></output>
  </div>
  <div class="card" role="group" aria-label="The chosen image" aria-live="polite">
    <canvas role="img" width="${BIG}" height="${BIG}"></canvas>
    <dl class="labels"></dl>
    <dl class="lanes"></dl>
  </div>
  <div class="panels"></div>`;

export function mount(host) {
  const root = element("section", { ariaLabel: "Training images", innerHTML: SKELETON });
  root.dataset.testid = "tiles";
  const find = (selector) => root.querySelector(selector);
  const [play, slider, output, card, panels] = [".play", "input", "output", ".card", ".panels"].map(find);
  const state = { data: /** @type {Tiles} */ (null), sent: "", sheet: null, layers: [], layout: null, set: null, at: 0, chosen: 0, hovered: -1, asked: 0, waiting: 0 };

  const playing = scrubber(play, slider, {
    pace: FRAME,
    idle: IDLE,
    at: () => state.at,
    last: () => state.data.epochs.length - 1,
    show,
    onIdle: choose,
    changed: (isPlaying) => (card.ariaLive = isPlaying ? "off" : "polite"),
  });
  const table = detailsTable(tables);
  root.append(table);
  const resized = new ResizeObserver(() => requestAnimationFrame(arrange));
  resized.observe(panels);

  async function update(/** @type {{data: Sent, setStateValue: Function}} */ { data, setStateValue }) {
    const asked = ++state.asked;
    const isNew = data.pictures !== state.sent;
    const [bytes, ...predictions] = await Promise.all([isNew ? inflate(data.pictures) : null, ...data.lanes.map((lane) => inflate(lane.predictions))]);
    if (asked !== state.asked) return; // superseded by a newer one
    const before = state.data;
    state.data = { ...data, lanes: data.lanes.map((lane, at) => ({ ...lane, predictions: new Int16Array(predictions[at].buffer) })) };
    state.set = setStateValue;
    if (bytes) Object.assign(state, { sent: data.pictures, sheet: contactSheet(bytes, data.rows.length, data.side, data.channels, Math.ceil(Math.sqrt(data.rows.length))), layout: null, chosen: 0, hovered: -1 });
    if (!root.isConnected) host.replaceChildren(root);
    build(before);
    place(before);
    arrange();
    show(state.at);
  }

  /** The reader's place after an update: the same epoch; the last if that was shown; at first that of the address. */
  function place(before) {
    const { epochs, start, run } = state.data;
    const last = epochs.length - 1;
    const known = before?.run === run && before.start === start && before.epochs;
    const wanted = !known ? start : state.at === known.length - 1 && !playing.isPlaying() ? null : known[state.at];
    state.at = wanted == null ? last : Math.max(0, epochs.findLastIndex((other) => other <= wanted));
    slider.max = last;
    slider.disabled = play.disabled = last < 1;
  }

  /** Tell the server where the reader has stopped, for the address; not while the tiles are played. */
  function choose() {
    const { run, epochs } = state.data;
    state.set("view", { run, epoch: state.at === epochs.length - 1 ? null : epochs[state.at] });
  }

  /** Write the title and the key; make the panels if the lanes are others. */
  function build(before) {
    const { noisy, rows, total, lanes } = state.data;
    const all = rows.length === total ? count(total) : `${count(rows.length)} of ${count(total)}`;
    find("h3").textContent = `${all} training images${noisy ? " with a wrong label" : ""}`;
    const keys = noisy ? { hit: "memorised: the lane predicts the wrong label", dot: "resisted: it predicts the true one" } : { hit: "the lane predicts the label" };
    find(".key").replaceChildren(...Object.entries(keys).map(([className, said]) => element("span", {}, element("i", { className }), said)));
    if (before && before.run === state.data.run && before.lanes.map(({ name }) => name).join() === lanes.map(({ name }) => name).join()) return;
    panels.replaceChildren(...lanes.map(panel));
    state.layout = null;
  }

  function panel(/** @type {Lane} */ lane) {
    const canvas = element("canvas", { tabIndex: 0, role: "application", ariaLabel: `${lane.title}: images; choose one with the arrow keys` });
    canvas.onpointermove = (event) => hover(tileAt(state.layout, event.offsetX, event.offsetY));
    canvas.onpointerleave = () => hover(-1);
    canvas.onclick = (event) => select(tileAt(state.layout, event.offsetX, event.offsetY));
    canvas.onkeydown = walk;
    canvas.onfocus = canvas.onblur = drawSoon;
    return element("figure", { role: "figure" }, element("figcaption", {}, swatch(lane), lane.title), canvas, element("small"));
  }

  function hover(tile) {
    if (tile === state.hovered) return;
    state.hovered = tile;
    showCard();
    drawSoon();
  }

  function select(tile) {
    if (tile < 0) return;
    Object.assign(state, { chosen: tile, hovered: -1 });
    showCard();
    drawSoon();
  }

  function walk(event) {
    if (!state.data || !state.layout) return;
    const [last, { columns }] = [state.data.rows.length - 1, state.layout];
    const to = { ArrowRight: state.chosen + 1, ArrowLeft: state.chosen - 1, ArrowDown: state.chosen + columns, ArrowUp: state.chosen - columns, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to <= last) select(to);
  }

  /** Fit the tiles into the width that there is; paint the pictures once, for all panels. */
  function arrange() {
    const width = panels.firstElementChild?.clientWidth;
    if (!state.data || !width) return;
    const layout = layoutOf(state.data.rows.length, width, window.devicePixelRatio);
    if (state.layout && layout.key === state.layout.key) return;
    state.layout = layout;
    const back = backdrop(state.sheet, state.data.side, layout);
    state.layers = state.data.lanes.map(({ color }) => layersOf(back, layout, color));
    draw();
  }

  function show(at) {
    const { epochs } = state.data;
    state.at = at;
    root.dataset.frame = at;
    slider.value = at;
    const when = `epoch ${epochName(epochs[at])}`;
    output.textContent = when;
    slider.setAttribute("aria-valuetext", when);
    state.data.lanes.forEach(showCount);
    showCard();
    draw();
    table.refresh();
  }

  function counts(/** @type {Lane} */ lane) {
    const { noisy, total } = state.data;
    const evaluation = lane.which[state.at];
    if (evaluation < 0) return "not evaluated yet";
    const hits = `${count(lane.hits[evaluation])} of ${count(total)}`;
    return noisy ? `${hits} memorised · ${count(lane.resisted[evaluation])} resisted` : `${hits} predicted as labelled`;
  }

  function showCount(/** @type {Lane} */ lane, place) {
    const figure = panels.children[place];
    figure.querySelector("small").textContent = counts(lane);
    figure.ariaLabel = `${lane.title}, ${output.textContent}: ${counts(lane)}.`;
  }

  function drawSoon() {
    cancelAnimationFrame(state.waiting);
    state.waiting = requestAnimationFrame(draw);
  }

  function draw() {
    const { data, layout, layers } = state;
    if (!layout) return;
    const marked = state.hovered < 0 ? state.chosen : state.hovered;
    data.lanes.forEach((lane, place) => {
      const figure = panels.children[place];
      figure.dataset.hits = paint(figure.querySelector("canvas"), layout, layers[place], statesOf(lane), marked);
    });
  }

  /** What a lane predicts for a tile now: 1 the given label, 2 the true one, 0 another or none. */
  function stateOf(/** @type {Lane} */ lane, tile) {
    const prediction = predicted(lane, tile);
    if (prediction < 0) return 0;
    return prediction === state.data.given[tile] ? 1 : prediction === state.data.true[tile] ? 2 : 0;
  }

  function statesOf(/** @type {Lane} */ lane) {
    const states = new Uint8Array(state.data.rows.length);
    for (let tile = 0; tile < states.length; tile++) states[tile] = stateOf(lane, tile);
    return states;
  }

  function predicted(/** @type {Lane} */ lane, tile) {
    const evaluation = lane.which[state.at];
    return evaluation < 0 ? -1 : lane.predictions[evaluation * state.data.rows.length + tile];
  }

  function showCard() {
    const { data, sheet } = state;
    const tile = state.hovered < 0 ? state.chosen : state.hovered;
    root.dataset.tile = tile;
    const across = sheet.width / data.side;
    const canvas = card.querySelector("canvas");
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(sheet, (tile % across) * data.side, Math.floor(tile / across) * data.side, data.side, data.side, 0, 0, BIG, BIG);
    canvas.ariaLabel = `Image ${count(data.rows[tile])} of the data set`;
    const labels = data.noisy ? [["Given label", data.given], ["True label", data.true]] : [["Label", data.given]];
    card.querySelector(".labels").replaceChildren(...labels.map(([name, list]) => fact(name, data.classes[list[tile]])), fact("Image", count(data.rows[tile])));
    card.querySelector(".lanes").replaceChildren(...data.lanes.map((lane) => fact([swatch(lane), lane.title], now(lane, tile), element("small", { textContent: since(lane, tile) }))));
  }

  function fact(name, ...said) {
    return element("div", {}, element("dt", {}, ...[name].flat()), element("dd", {}, ...said));
  }

  function now(/** @type {Lane} */ lane, tile) {
    const prediction = predicted(lane, tile);
    if (prediction < 0) return "no prediction yet";
    const { noisy, classes } = state.data;
    return `${classes[prediction]}${noisy ? ["", " (memorised)", " (resisted)"][stateOf(lane, tile)] : ""}`;
  }

  function since(/** @type {Lane} */ lane, tile) {
    const learned = state.data.noisy ? "memorised" : "learned";
    return lane.since[tile] == null ? `not ${learned} at the end` : `${learned} since epoch ${epochName(lane.since[tile])}`;
  }

  /** The counts of each lane, then the first images with their labels and when each lane has learned them. */
  function tables() {
    const { noisy, lanes, rows, given, true: right, classes, total } = state.data;
    const number = (list, lane) => (lane.which[state.at] < 0 ? "–" : count(list[lane.which[state.at]]));
    const [columns, learned] = noisy ? [["Lane", "Memorised", "Resisted", "Images"], "memorised"] : [["Lane", "Predicted as labelled", "Images"], "learned"];
    const totals = lanes.map((lane) => [lane.title, number(lane.hits, lane), ...(noisy ? [number(lane.resisted, lane)] : []), count(total)]);
    const listed = rows.slice(0, LISTED).map((row, at) => {
      const named = noisy ? [classes[given[at]], classes[right[at]]] : [classes[given[at]]];
      return [count(row), ...named, ...lanes.map((lane) => (lane.since[at] == null ? "not at the end" : `epoch ${epochName(lane.since[at])}`))];
    });
    const heads = ["Image", ...(noisy ? ["Given label", "True label"] : ["Label"]), ...lanes.map(({ title }) => `${title} ${learned} it since`)];
    return [tableOf(`All images, ${output.textContent}`, columns, totals), tableOf(`The first ${listed.length} images`, heads, listed)];
  }

  function unmount() {
    playing.unmount();
    resized.disconnect();
    cancelAnimationFrame(state.waiting);
    state.asked = -1;
    root.remove();
  }

  return { update, unmount };
}
