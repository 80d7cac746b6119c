// @ts-check
// The toy surface: what runs and when. mount(host) returns {update, unmount}. The mathematics is math.js; the server is told the
// settings after the reader has changed one, and nothing while it plays.

import { element } from "../ui/parts.js";
import { SURFACES, ascend, begin, curvature, descend, lookAhead } from "./math.js";
import { Watch, curvatureText, lossText, pointText } from "./narration.js";
import { picture } from "./picture.js";
import { methodsTable, milestones, phasesList, presetsBar, settingsPanel, transport } from "./controls.js";

const PHASE = { 1: 1300, 2: 1500, 3: 1100, 4: 1300, 5: 1100, 6: 1300 }; // milliseconds of each part of a step in slow motion
const LIMIT = 1500; // steps after which it stops, whatever still moves
const LONGEST = 2000; // points of a path that are kept
const IDLE = 400; // milliseconds without a change before the server is told
const NUMBERS = 120; // milliseconds between two updates of the table
const OWN_KEYS = "select, input[type=number], input[type=text], textarea";
const VIEWING = ["view", "turn", "pace", "follow"]; // of no preset: the reader's view

const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

export function mount(host) {
  const root = element("section", { ariaLabel: "Toy surface" });
  root.dataset.testid = "surface";
  const state = { data: null, move: null, settings: null, surface: null, lanes: [], playing: false, ended: false, phase: 0, share: 1, numbers: 0 };
  let parts; // made when the data arrive
  let [frame, reporting, watching] = [0, 0, 0];

  function update({ data, setStateValue }) {
    state.set = setStateValue;
    if (!parts) build(data);
    if (state.move === data.at.move) return; // the server repeats an older state; the browser has a newer one
    state.move = data.at.move;
    const { move: _move, ...settings } = data.at;
    state.settings = settings;
    restart();
    if (!calm()) play();
  }

  function build(data) {
    state.data = data;
    const act = { toggle: () => (state.playing ? pause() : play()), half, step: whole, reset };
    const tools = transport(data, act, change);
    parts = {
      tools,
      presets: presetsBar(data, (preset) => change({ ...preset, ...viewing() })),
      settings: settingsPanel(data, change),
      table: methodsTable(data, change),
      phases: phasesList(data, change),
      narration: milestones(),
      picture: picture(tools.turning, place, (turn) => change({ turn }), draw),
    };
    const { presets, settings, table, phases, narration } = parts;
    const left = element("div", { className: "left" }, parts.picture.root, tools.root);
    const right = element("div", { className: "right" }, phases.root, element("div", { className: "scroll" }, table.root), settings.root, narration.root);
    root.append(presets.root, element("div", { className: "scene" }, left, right));
    root.onkeydown = press;
    host.replaceChildren(root);
    watching = setInterval(() => !state.playing && parts.picture.stale() && draw(), 500); // the page's colours may change
  }

  const viewing = () => Object.fromEntries(VIEWING.map((name) => [name, state.settings[name]]));
  const titleOf = (method) => state.data.methods.find(({ name }) => name === method).title;
  const shown = () => state.lanes.filter(({ method }) => state.settings.methods.includes(method));
  const steps = () => Math.max(...state.lanes.map((lane) => lane.steps));
  const halfway = () => state.lanes.some(({ ascent }) => ascent);

  /** The method whose step is drawn: the chosen one, if it is shown. */
  function followed() {
    const { methods, follow } = state.settings;
    return methods.includes(follow) ? follow : (methods.find((name) => name === "ssam" || name === "sam") ?? methods[0]);
  }

  // What the reader changes

  function change(patch) {
    const [before, ended] = [state.settings, state.ended];
    const moves = "x" in patch || (patch.surface ?? before.surface) !== before.surface;
    state.settings = { ...before, ...firstOf(patch), ...patch };
    if (moves) restart();
    const runs = Object.keys(patch).some((name) => !VIEWING.includes(name));
    if (runs && !moves) state.lanes.forEach(({ watch }) => watch.resume());
    if (patch.pace && state.phase) [state.phase, state.share] = [0, 1]; // the rest of the step is taken at once
    if (runs && ended && !state.held) goOn();
    if (patch.surface && !calm()) play();
    show();
    report();
  }

  /** Another surface without further settings: use its first preset. */
  function firstOf({ surface, x }) {
    if (!surface || x !== undefined) return {};
    return { ...state.data.presets.find((preset) => preset.state.surface === surface).state, ...viewing() };
  }

  /** It had ended by itself; the reader has changed something. */
  function goOn() {
    state.ended = false;
    state.limit = steps() + LIMIT;
    if (!calm()) play();
  }

  /** The start is moved: nothing runs while it is held. */
  function place([x, y], held) {
    const [left, right, bottom, top] = state.surface.box;
    const within = (value, low, high) => Math.round(100 * Math.min(high, Math.max(low, value))) / 100;
    if (held && !state.held) state.held = { played: state.playing || state.ended };
    if (held) stop();
    change({ x: within(x, left, right), y: within(y, bottom, top) });
    if (held) return;
    if (state.held?.played && !calm()) play();
    state.held = null;
  }

  function report() {
    clearTimeout(reporting);
    reporting = setTimeout(() => {
      const words = Object.entries(state.settings).map(([name, value]) => [name, String(value)]);
      state.set("view", Object.fromEntries(words));
    }, IDLE);
  }

  // Running

  function restart() {
    const { surface, x, y } = state.settings;
    state.surface = SURFACES[surface];
    state.lanes = state.data.methods.map(({ name }) => {
      const watch = new Watch(state.surface, [x, y]);
      return { ...begin(name, [x, y]), trail: [[x, y, state.surface.loss(x, y)]], watch };
    });
    Object.assign(state, { phase: 0, share: 1, limit: LIMIT, ended: false });
    parts.narration.clear();
    show();
  }

  function play() {
    if (state.ended) restart();
    if (state.playing) return;
    Object.assign(state, { playing: true, before: performance.now() });
    show();
    frame = requestAnimationFrame(turn);
  }

  function stop() {
    state.playing = false;
    cancelAnimationFrame(frame);
  }

  function pause() {
    stop();
    if (state.settings.pace !== "slow") state.share = 1;
    show();
  }

  function turn(now) {
    const passed = Math.min(100, Math.max(0, now - state.before)); // a hidden tab does not run away
    state.before = now;
    if (state.settings.pace === "slow") slowly(passed);
    else {
      state.phase = 0;
      state.share += (passed / 1000) * Number(state.settings.pace);
      while (state.playing && state.share >= 1) {
        state.share -= 1;
        stepAll();
        if (over()) end();
      }
    }
    draw();
    if (now - state.numbers > NUMBERS) {
      state.numbers = now;
      showNumbers();
    }
    if (state.playing) frame = requestAnimationFrame(turn);
  }

  /** Slow motion, part by part. A method that perturbs nothing has only the first and the last part. */
  function slowly(passed) {
    state.share += state.phase ? passed / PHASE[state.phase] : 1;
    if (state.share < 1) return;
    if (state.phase === 6 && over()) return end();
    const perturbs = followed() === "sam" || followed() === "ssam";
    const next = (state.phase % 6) + 1;
    state.phase = state.phase === 0 && halfway() ? 4 : perturbs || next === 1 ? next : 6;
    state.share = 0;
    if (state.phase === 1) forAll(ascend);
    if (state.phase === 4) forAll(lookAhead);
    if (state.phase === 6) descendAll();
    showNumbers();
  }

  function forAll(part) {
    for (const lane of state.lanes) part(lane, state.surface, state.settings);
  }

  function descendAll() {
    for (const lane of state.lanes) {
      if (lane.diverged) continue;
      descend(lane, state.surface, state.settings);
      lane.trail.push([...lane.w, state.surface.loss(...lane.w)]);
      if (lane.trail.length > LONGEST) lane.trail.shift();
      const said = lane.watch.see(lane);
      if (!state.settings.methods.includes(lane.method)) continue;
      for (const sentence of said) parts.narration.narrate(lane.steps, `${titleOf(lane.method)} ${sentence}`);
    }
  }

  function stepAll() {
    forAll(ascend);
    descendAll();
  }

  const over = () => shown().every(({ watch }) => watch.settled) || steps() >= state.limit;

  function end() {
    stop();
    Object.assign(state, { ended: true, share: 1 });
    show();
  }

  function whole() {
    stop();
    stepAll();
    Object.assign(state, { phase: 0, share: 1, ended: false });
    show();
  }

  function half() {
    stop();
    const up = !halfway();
    if (up) forAll(ascend);
    else descendAll();
    Object.assign(state, { phase: up ? 3 : 6, share: 1, ended: false });
    show();
  }

  function reset() {
    const played = state.playing;
    stop();
    restart();
    if (played) play();
  }

  /** Keys of the panel, while the focus is in it and the focused element does not handle them itself. */
  function press(event) {
    const { key, target } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.closest(OWN_KEYS)) return;
    if (key === " " && target.closest("button:not(.start), input")) return;
    const act = { " ": () => (state.playing ? pause() : play()), s: whole, h: half, r: reset }[key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  // Display

  function show() {
    const { settings, data } = state;
    const like = (preset) => Object.keys(preset).every((name) => VIEWING.includes(name) || String(preset[name]) === String(settings[name]));
    parts.presets.show(like, data.surfaces.find(({ name }) => name === settings.surface));
    parts.tools.show(settings, state.playing, state.ended);
    parts.settings.show(settings);
    parts.phases.root.hidden = !state.phase && settings.pace !== "slow";
    root.dataset.playing = state.playing;
    root.dataset.ended = state.ended;
    showNumbers();
    draw();
  }

  function showNumbers() {
    const { lanes, surface, settings, phase, data } = state;
    const numbers = Object.fromEntries(lanes.map((lane) => [lane.method, [lossText(surface.loss(...lane.w)), curvatureText(curvature(surface, lane.w)), lane.steps, lane.watch.where]]));
    parts.table.show(settings.methods, numbers);
    root.dataset.steps = steps();
    root.dataset.phase = phase;
    const own = lanes.find(({ method }) => method === followed());
    parts.phases.show(settings.methods, own.method, phase, partsOf(own));
    const said = shown().map(({ method }) => `${titleOf(method)} ${numbers[method][3]}, loss ${numbers[method][0]}, λ₁ ${numbers[method][1]}`);
    parts.picture.describe(`${data.views[settings.view]} of ${data.surfaces.find(({ name }) => name === settings.surface).title}, after ${steps()} steps: ${said.join("; ")}.`, settings);
  }

  /** The numbers of the six parts of a method's step; null for parts that it lacks. */
  function partsOf({ ascent, last }) {
    const record = ascent ?? last;
    if (!record) return Array(6).fill("");
    const [all, some] = [[record.gradient, record.epsilon, record.at, record.second, record.w, record.update], record.mask[0] || record.mask[1]];
    return all.map((value, at) => (some || at === 0 || at === 5 ? (value ? pointText(value) : "") : null));
  }

  function draw() {
    if (!state.settings) return;
    const { settings, surface, lanes, phase, share, data } = state;
    const styled = data.methods.map((method) => ({ style: method, lane: lanes.find((lane) => lane.method === method.name) })).filter(({ lane }) => settings.methods.includes(lane.method));
    const follow = phase ? styled.find(({ lane }) => lane.method === followed()) : null;
    parts.picture.draw({ surface, settings, phase, share, styled, follow, looksAhead: Number(settings.pace) <= 30 });
  }

  function unmount() {
    stop();
    clearTimeout(reporting);
    clearInterval(watching);
    parts?.picture.unmount();
    root.remove();
  }

  return { update, unmount };
}
