// @ts-check
// The anatomy of a step: its phases one by one, or played. mount(host) returns {update, unmount}. All numbers and sentences are in the data.

import { element, swatch } from "../ui/parts.js";
import { figure, offsets, paintLarge, paintMask, paintSmall, stages } from "./maps.js";
import { player, arrowKeyNavigation } from "../ui/playing.js";
import { path } from "./path.js";
import { inflate } from "../ui/wire.js";

const PACE = 4200; // milliseconds per phase
const FALL = 1500; // milliseconds of the animation that applies the mask
const IDLE = 400; // milliseconds that the reader must stay before the server is told
const MAPS = { gradient: "g, gradient at w", mask: "m, the mask", epsilon: "ε", second: "gradient at w + ε", update: "update" };
const COLUMNS = { gradient: "‖g‖", epsilon: "‖ε‖", second: "‖g(w+ε)‖", update: "‖update‖" };

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const text = (tag, textContent) => element(tag, { textContent });

export function mount(host) {
  const part = (tag, className, properties = {}, ...children) => element(tag, { className, ...properties }, ...children);
  const lanes = part("div", "lanes", { role: "radiogroup", ariaLabel: "Lane" });
  const legend = part("p", "legend", { ariaHidden: "true" });
  const buttons = [["back", "‹", "Previous phase"], ["play", "▶", "Play"], ["next", "›", "Next phase"]].map(([className, textContent, ariaLabel]) =>
    part("button", className, { type: "button", textContent, ariaLabel, title: ariaLabel }),
  );
  const [back, play, next] = buttons;
  const chips = part("ol", "chips");
  const [heading, said, numbers, cost] = [element("h3"), part("p", "said", { ariaLive: "polite" }), element("dl"), part("p", "cost")];
  const drawing = part("div", "drawing");
  const maps = part("div", "maps");
  const [layerTitle, net] = [element("h3"), part("div", "net", { role: "group", ariaLabel: "The layers, stage by stage" })];
  const key = part("p", "legend key", {}, part("span", "plus", { textContent: "positive" }), part("span", "minus", { textContent: "negative (hollow)" }), part("span", "off", { textContent: "masked: not perturbed" }));
  const tables = part("details", "words", {}, text("summary", "All numbers"), element("div"));
  const notes = part("p", "notes");
  const root = element(
    "section",
    { ariaLabel: "Anatomy of a step" },
    lanes,
    legend,
    part("div", "tools", {}, ...buttons, chips),
    part("div", "scene", {}, part("div", "telling", {}, heading, said, numbers, cost), drawing),
    layerTitle,
    maps,
    key,
    net,
    notes,
    tables,
  );
  root.dataset.testid = "anatomy";
  const state = { data: null, made: "", lane: 0, layer: 0, phase: 0, frame: 0, moves: null, wanted: null, asked: 0 };

  const lane = () => state.data.lanes[state.lane];
  const phase = () => lane().phases[state.phase];

  const last = () => lane().phases.length - 1;
  const playing = player(play, {
    pace: PACE,
    idle: IDLE,
    begin() {
      state.wanted = null;
      if (state.phase === last()) state.phase = 0;
      show();
    },
    advance() {
      state.phase = Math.min(state.phase + 1, last());
      show();
    },
    ended: () => state.phase === last(),
    onIdle: () => state.set("view", { run: state.data.run, lane: lane().name, layer: state.data.layers[state.layer].name, phase: phase().key }),
    changed: (isPlaying) => (root.dataset.playing = isPlaying),
  });
  back.onclick = () => turn(-1);
  next.onclick = () => turn(1);
  document.addEventListener("keydown", press);

  async function update({ data, setStateValue }) {
    const asked = ++state.asked;
    const unpacked = await Promise.all(data.lanes.map(unpack));
    if (asked !== state.asked) return; // superseded by a newer one
    const before = state.data?.run === data.run ? [lane().name, state.data.layers[state.layer].name, phase().key] : [];
    state.data = { ...data, lanes: unpacked, offsets: offsets(data.layers) };
    state.set = setStateValue;
    if (state.moves !== data.at.moves) state.wanted = [data.at.lane, data.at.layer, data.at.phase];
    state.moves = data.at.moves;
    place(...(state.wanted ?? before)); // the wanted lane may not have arrived yet
    if (!root.isConnected) host.replaceChildren(root);
    build();
    show();
  }

  async function unpack(one) {
    const pairs = await Promise.all(Object.entries(one.pictures).map(async ([name, packed]) => [name, new Int8Array((await inflate(packed)).buffer)]));
    return { ...one, pictures: Object.fromEntries(pairs) };
  }

  /** Set the place; initially a lane with a mask, and the largest layer that is not a vector. */
  function place(laneName, layerName, phaseKey) {
    const { lanes: all, layers } = state.data;
    const size = ({ rows, shape }) => (rows > 1 ? 1 : 1e-9) * shape.reduce((a, b) => a * b, 1);
    const found = (list, test, otherwise) => Math.max(0, list.findIndex(test) >= 0 ? list.findIndex(test) : otherwise);
    state.lane = found(all, ({ name }) => name === laneName, all.findIndex(({ pictures }) => pictures.mask));
    const largest = layers.reduce((best, layer, at) => (size(layer) > size(layers[best]) ? at : best), 0);
    state.layer = found(layers, ({ name }) => name === layerName, largest);
    state.phase = nearest(phaseKey);
  }

  /** The shown lane's phase with this key, or the last one before it if it has none. */
  function nearest(key) {
    const order = [...new Set(state.data.lanes.flatMap(({ phases }) => phases.map((one) => one.key)))];
    const full = state.data.lanes.reduce((a, b) => (b.phases.length > a.phases.length ? b : a)).phases.map((one) => one.key);
    const rank = (one) => (full.includes(one) ? full : order).indexOf(one);
    return Math.max(0, lane().phases.findLastIndex((one) => one.key === key || (one.key !== "update" && rank(one.key) <= rank(key))));
  }

  // Made once per race; again when lanes arrive during the measurement

  function build() {
    const { data } = state;
    const made = JSON.stringify([data.run, data.moves, data.lanes.map(({ name, losses }) => [name, losses])]);
    if (state.made === made) return;
    state.made = made;
    lanes.replaceChildren(...data.lanes.map(bar));
    legend.replaceChildren(...data.parts.map(({ title, color }) => tinted("span", title, color)));
    net.replaceChildren(...stages(data.layers, chooseLayer));
    net.onkeydown = arrowKeyNavigation;
    notes.textContent = [...data.notes, data.source].join(" ");
    chips.dataset.lane = "";
  }

  function tinted(tag, textContent, color) {
    const made = text(tag, textContent);
    made.style.setProperty("--phase", color);
    return made;
  }

  /** A lane to choose, with its step time; all on one scale. */
  function bar(one, at) {
    const total = ({ ms }) => state.data.parts.reduce((sum, { name }) => sum + (ms[name] ?? 0), 0);
    const longest = Math.max(...state.data.lanes.map(total));
    const input = element("input", { type: "radio", name: "anatomy-lane", value: at });
    input.onchange = () => chooseLane(at);
    const segments = state.data.parts.filter(({ name }) => one.ms[name]).map(({ name, title, color }) => {
      const made = tinted("i", "", color);
      made.dataset.part = name;
      made.style.flexGrow = one.ms[name];
      made.title = `${title}: ${one.ms[name].toFixed(2)} ms`;
      return made;
    });
    const strip = element("span", { className: "strip", ariaHidden: "true" }, ...segments);
    strip.style.width = longest ? `${(100 * total(one)) / longest}%` : "0";
    const took = total(one) ? `${total(one).toFixed(1)} ms` : "not timed";
    const made = element("label", {}, input, swatch(one), element("b", { textContent: one.title }), element("span", { className: "track" }, strip), element("output", { textContent: took }));
    made.style.setProperty("--lane", one.color);
    return made;
  }

  function buildLane() {
    if (chips.dataset.lane === lane().name) return;
    chips.dataset.lane = lane().name;
    chips.replaceChildren(
      ...lane().phases.map(({ title }, at) => {
        const made = element("button", { type: "button", title }, element("b", { textContent: at + 1 }), text("span", title));
        made.onclick = () => go(at);
        return element("li", {}, made);
      }),
    );
    state.path = path(lane());
    drawing.replaceChildren(state.path.root);
    maps.replaceChildren(...Object.keys(MAPS).filter((name) => lane().pictures[name]).map((name) => figure(name, MAPS[name])));
    maps.style.setProperty("--maps", maps.childElementCount);
    key.querySelector(".off").hidden = !lane().pictures.mask;
    tables.lastChild.replaceChildren(table(["", ...state.data.lanes.map(({ title }) => title)], state.data.table, "The step of every lane"), layersTable());
  }

  function table(head, rows, caption) {
    const line = (cells, tag) => element("tr", {}, ...cells.map((textContent, at) => element(at ? tag : "th", { textContent, scope: at ? "" : "row" })));
    return element("table", {}, text("caption", caption), element("thead", {}, line(head, "th")), element("tbody", {}, ...rows.map((cells) => line(cells, "td"))));
  }

  function layersTable() {
    const one = lane();
    const norms = Object.keys(COLUMNS).filter((name) => one.pictures[name]);
    const rows = one.layers.map((row, at) => [
      state.data.layers[at].name,
      ...(one.pictures.mask ? [`${(100 * row.density).toFixed(1)}%`] : []),
      ...norms.map((name) => row[name].toPrecision(3)),
    ]);
    const head = ["Layer", ...(one.pictures.mask ? ["perturbed"] : []), ...norms.map((name) => COLUMNS[name])];
    return table(head, rows, `${one.title}, layer by layer`);
  }

  // What is shown now

  function show() {
    buildLane();
    const [one, now] = [lane(), phase()];
    root.dataset.lane = one.name;
    root.dataset.phase = now.key;
    root.dataset.layer = state.data.layers[state.layer].name;
    lanes.querySelectorAll("input").forEach((input, at) => (input.checked = at === state.lane));
    for (const segment of lanes.querySelectorAll("i")) {
      const own = segment.closest("label").querySelector("input").checked;
      segment.classList.toggle("lit", own && now.parts.includes(segment.dataset.part));
    }
    [...chips.children].forEach(({ firstChild }, at) => {
      firstChild.classList.toggle("past", at < state.phase);
      at === state.phase ? firstChild.setAttribute("aria-current", "step") : firstChild.removeAttribute("aria-current");
    });
    back.disabled = state.phase === 0;
    next.disabled = state.phase === one.phases.length - 1;
    heading.textContent = `${state.phase + 1} of ${one.phases.length} · ${now.title}`;
    said.textContent = now.said;
    numbers.replaceChildren(...now.numbers.map(([name, value]) => element("div", {}, text("dt", name), text("dd", value))));
    cost.textContent = spent(one, now);
    state.path.show(now.key);
    showMaps();
    fall();
  }

  /** The time of the current phase, as text. */
  function spent({ ms, phases }, now) {
    const names = state.data.parts.filter(({ name }) => now.parts.includes(name));
    const known = names.filter(({ name }) => ms[name]);
    if (!known.length) return "";
    const others = phases.filter(({ key, parts }) => key !== now.key && parts.some((name) => now.parts.includes(name))).length;
    const whole = state.data.parts.reduce((sum, { name }) => sum + (ms[name] ?? 0), 0);
    const shared = others ? ` for ${others + 1} phases together` : "";
    return `${known.map(({ name, title }) => `${title}: ${ms[name].toFixed(2)}`).join(", ")} of ${whole.toFixed(1)} ms${shared}`;
  }

  function cells(name, at) {
    const { rows, columns } = state.data.layers[at];
    const begin = state.data.offsets[at];
    return lane().pictures[name]?.subarray(begin, begin + rows * columns);
  }

  function reached(key) {
    const at = lane().phases.findIndex((one) => one.key === key);
    return at >= 0 && state.phase >= at;
  }

  function showMaps(fallen = calm() || phase().key !== "mask" ? 1 : 0) {
    const { layers, lanes: all } = state.data;
    const [layer, own, now] = [layers[state.layer], all[state.lane].layers[state.layer], phase()];
    const size = layer.shape.reduce((a, b) => a * b, 1).toLocaleString("en");
    const some = layer.rows * layer.columns < layer.shape.reduce((a, b) => a * b, 1) ? `, ${layer.rows} × ${layer.columns} of them shown` : "";
    layerTitle.textContent = `${layer.name}: ${layer.shape.join(" × ")}${layer.shape.length > 1 ? ` = ${size}` : ""} weights${some}`;
    const ink = getComputedStyle(root).color;
    for (const made of maps.children) {
      const name = made.dataset.map;
      const canvas = made.querySelector("canvas");
      const there = reached(name === "update" || name === "second" || name === "epsilon" || name === "mask" ? name : "gradient");
      const gone = name === "epsilon" && reached("restore");
      const whole = name === "epsilon" && there && lane().pictures.mask && !reached("mask");
      if (name === "mask") paintMask(canvas, layer, there ? cells("mask", state.layer) : null, lane().color);
      else if (name === "epsilon" && there && !gone) {
        // until the mask is applied ε looks like g: it is a multiple of g
        paintLarge(canvas, layer, cells(whole || fallen < 1 ? "gradient" : "epsilon", state.layer), ink, reached("mask") ? cells("mask", state.layer) : null, fallen);
      } else paintLarge(canvas, layer, there && !gone ? cells(name, state.layer) : null, ink);
      made.classList.toggle("now", name === now.picture || (name === "mask" && now.key === "mask") || (name === "epsilon" && now.key === "epsilon"));
      const words = !there ? "not computed yet" : gone ? "removed" : name === "mask" ? `${(100 * own.density).toFixed(1)}% of this layer perturbed` : whole ? "before the mask" : `‖·‖ in this layer ${own[name].toPrecision(3)}`;
      made.lastChild.textContent = words;
      canvas.setAttribute("aria-label", `${MAPS[name]} in ${layer.name}: ${words}.`);
    }
    const shown = now.key === "restore" ? null : now.picture;
    for (const button of net.querySelectorAll("button")) {
      const at = Number(button.dataset.layer);
      paintSmall(button.firstChild, layers[at], shown && cells(shown, at));
      button.setAttribute("aria-pressed", at === state.layer);
      button.tabIndex = at === state.layer ? 0 : -1;
    }
  }

  /** Apply the mask to ε, row by row. */
  function fall() {
    cancelAnimationFrame(state.frame);
    if (phase().key !== "mask" || calm()) return;
    const begin = performance.now();
    const draw = (time) => {
      const share = Math.min(1, Math.max(0, (time - begin) / FALL));
      showMaps(share);
      if (share < 1) state.frame = requestAnimationFrame(draw);
    };
    state.frame = requestAnimationFrame(draw);
  }

  // What the reader does

  function go(at) {
    playing.stop();
    state.wanted = null;
    state.phase = at;
    show();
    playing.touched();
  }

  function turn(step) {
    const at = state.phase + step;
    if (at >= 0 && at < lane().phases.length) go(at);
  }

  function chooseLane(at) {
    const before = phase().key;
    state.lane = at;
    state.wanted = null;
    state.phase = nearest(before);
    show();
    playing.touched();
  }

  function chooseLayer(at) {
    state.layer = at;
    state.wanted = null;
    showMaps();
    root.dataset.layer = state.data.layers[at].name;
    playing.touched();
  }

  /** Arrow keys move between phases and space plays, unless the focused element handles keys itself. */
  function press(event) {
    const { target } = event;
    if (!state.data || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const own = target === document.body || root.contains(target) || target.closest?.("main") === target;
    const takes = target.closest?.(event.key === " " ? "button, input, select, summary, textarea, a" : "input, select, textarea, .net");
    const act = { ArrowRight: () => turn(1), ArrowLeft: () => turn(-1), " ": () => play.click() }[event.key];
    if (!own || takes || !act) return;
    event.preventDefault();
    act();
  }

  function unmount() {
    playing.unmount();
    cancelAnimationFrame(state.frame);
    document.removeEventListener("keydown", press);
    state.asked = -1;
    root.remove();
  }

  return { update, unmount };
}
