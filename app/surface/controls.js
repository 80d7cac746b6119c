// @ts-check
// The controls of the toy surface, and its table. Each part is made once; ``show`` updates it. Nothing here runs it.

import { element, swatch } from "../ui/parts.js";

const STEPS = { rho: 0.01, lr: 0.005, momentum: 0.05, noise: 0.1 }; // steps of the sliders
const DIGITS = { rho: 2, lr: 3, momentum: 2, noise: 1 };
const AXES = { x: "x", y: "y" };
const NOISY = { one: "SGD + noise", all: "all" };
const HAPPENED = 4; // sentences that stay visible

let groups = 0; // radio buttons need names of their own

const text = (tag, textContent, className = "") => element(tag, { textContent, className });

/** A choice of one: radio buttons that look like a bar. */
function choice(label, options, chosen) {
  const name = `surface-choice-${++groups}`;
  const inputs = Object.entries(options).map(([value, title]) => {
    const input = element("input", { type: "radio", name, value, onchange: () => chosen(value) });
    return [input, element("label", {}, input, text("span", title))];
  });
  const bar = element("div", { className: "choice", role: "radiogroup", ariaLabel: label }, ...inputs.map(([, made]) => made));
  return { root: bar, show: (value) => inputs.forEach(([input]) => (input.checked = input.value === value)) };
}

function list(label, options, chosen) {
  const root = element("select", { ariaLabel: label }, ...Object.entries(options).map(([value, title]) => new Option(title, value)));
  root.onchange = () => chosen(root.value);
  return { root, show: (value) => (root.value = value) };
}

function field(label, ...parts) {
  return element("div", { className: "field" }, text("span", label, "label"), ...parts);
}

/** The presets, and what to watch for in the chosen one. */
export function presetsBar(data, choose) {
  const look = element("p", { className: "look" });
  const buttons = data.presets.map(({ title, state }) => element("button", { type: "button", textContent: title, onclick: () => choose(state) }));
  const bar = element("div", { className: "presets", role: "group", ariaLabel: "Presets" }, ...buttons);
  const [tag, words] = [text("b", ""), text("span", "")];
  look.append(tag, " ", words);

  function show(same, surface) {
    const at = data.presets.findIndex(({ state }) => same(state));
    buttons.forEach((button, own) => button.setAttribute("aria-pressed", own === at));
    tag.textContent = at >= 0 ? "Watch for:" : `${surface.title}.`;
    words.textContent = at >= 0 ? data.presets[at].look : surface.words;
  }

  return { root: element("div", { className: "top" }, bar, look), show };
}

/** Play, step, half-step, reset; pace and view. */
export function transport(data, act, change) {
  const button = (className, textContent, title, keys, onclick) => {
    const made = element("button", { type: "button", className, textContent, title: `${title} (${keys})`, onclick });
    made.setAttribute("aria-keyshortcuts", keys);
    return made;
  };
  const play = button("play", "", "Play or pause", "Space", act.toggle);
  const half = button("half", "Half-step", "Up to w + ε; then back and down", "H", act.half);
  const step = button("step", "Step", "One step of every method", "S", act.step);
  const reset = button("reset", "Reset", "Move all back to the start", "R", act.reset);
  step.dataset.presenter = "step";
  half.dataset.presenter = "next";
  const pace = list("Pace", data.paces, (value) => change({ pace: value }));
  const view = choice("View", data.views, (value) => change({ view: value }));
  const turn = element("input", { type: "range", min: data.turns[0], max: data.turns[1], step: 1, ariaLabel: "Turn the perspective", oninput: () => change({ turn: Number(turn.value) }) });
  const turning = element("label", { className: "turn" }, text("span", "Turn"), turn);
  const root = element("div", { className: "tools", role: "group", ariaLabel: "Playback and view" }, play, step, half, reset, pace.root, view.root);

  function show(settings, playing, ended) {
    play.textContent = playing ? "❚❚ Pause" : ended ? "▶ Replay" : "▶ Play";
    pace.show(settings.pace);
    view.show(settings.view);
    turning.hidden = settings.view !== "perspective";
    turn.value = settings.turn;
    turn.setAttribute("aria-valuetext", `${settings.turn} degrees`);
  }

  return { root, turning, show };
}

/** Everything that can be changed while it runs. */
export function settingsPanel(data, change) {
  const surface = list("Surface", Object.fromEntries(data.surfaces.map(({ name, title }) => [name, title])), (value) => change({ surface: value }));
  const sliders = Object.entries(data.numbers).map(([name, [label, said, low, high]]) => {
    const input = element("input", { type: "range", min: low, max: high, step: STEPS[name], ariaLabel: label, ariaDescription: said, oninput: () => change({ [name]: Number(input.value) }) });
    const output = element("output"); // inside a label it would count as the labelled element
    const made = element("div", { className: "field", title: said }, element("span", { className: "label" }, text("span", label), output), input);
    return { name, made, input, output };
  });
  const mask = choice("SSAM perturbs", AXES, (value) => change({ mask: value }));
  const noisy = choice("Apply noise to", NOISY, (value) => change({ noisy: value }));
  const [low, high] = data.seeds;
  const seed = element("input", { type: "number", min: low, max: high, step: 1, ariaLabel: "Noise seed" });
  seed.onchange = () => {
    const wanted = Math.round(Number(seed.value));
    change({ seed: Number.isFinite(wanted) ? Math.min(high, Math.max(low, wanted)) : low });
  };
  const root = element(
    "div",
    { className: "settings", role: "group", ariaLabel: "Settings" },
    field("Surface", surface.root),
    field("SSAM perturbs", mask.root),
    ...sliders.map(({ made }) => made),
    field("Apply noise to", noisy.root),
    field("Noise seed", seed),
  );

  function show(settings) {
    surface.show(settings.surface);
    mask.show(settings.mask);
    noisy.show(settings.noisy);
    seed.value = settings.seed;
    for (const { name, input, output } of sliders) {
      input.value = settings[name];
      output.textContent = settings[name].toFixed(DIGITS[name]);
    }
  }

  return { root, show };
}

/** The methods: which are shown, and the state of each. ``rows`` of ``show`` are texts: loss, λ₁, steps, where. */
export function methodsTable(data, change) {
  const caption = text("caption", "Where the methods are", "unseen");
  const rows = data.methods.map((method) => {
    const box = element("input", { type: "checkbox" });
    box.onchange = () => change({ methods: rows.filter(({ input }) => input.checked).map(({ name }) => name) });
    const cells = ["number", "number", "number", "where"].map((className) => element("td", { className }));
    const name = element("th", { scope: "row" }, element("label", {}, box, swatch(method), text("span", method.title)));
    return { name: method.name, input: box, cells, made: element("tr", {}, name, ...cells) };
  });
  const heads = ["Method", "Loss", "λ₁", "Steps", "Where"].map((textContent, at) => element("th", { textContent, scope: "col", className: at && at < 4 ? "number" : "" }));
  heads[2].title = "The largest eigenvalue of the Hessian: the sharpness there";
  const root = element("table", {}, caption, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows.map(({ made }) => made)));

  function show(methods, numbers) {
    for (const { name, input, cells, made } of rows) {
      const on = methods.includes(name);
      input.checked = on;
      input.disabled = on && methods.length === 1; // at least one stays visible
      made.classList.toggle("off", !on);
      cells.forEach((cell, at) => (cell.textContent = on ? numbers[name][at] : "–"));
    }
  }

  return { root, show };
}

/** The six parts of a step with their numbers, and the method. */
export function phasesList(data, change) {
  const follow = list("Method whose step is drawn", Object.fromEntries(data.methods.map(({ name, title }) => [name, title])), (value) => change({ follow: value }));
  const items = data.phases.map((said) => ({ made: element("li", {}, text("span", said)), value: element("b") }));
  items.forEach(({ made, value }) => made.append(" ", value));
  const root = element("div", { className: "phases" }, element("label", {}, text("span", "Step of"), follow.root), element("ol", {}, ...items.map(({ made }) => made)));

  /** ``values`` are the texts of the parts so far; null if the method has no such part. */
  function show(methods, followed, phase, values) {
    for (const option of follow.root.options) option.hidden = option.disabled = !methods.includes(option.value);
    follow.show(followed);
    items.forEach(({ made, value }, at) => {
      made.classList.toggle("past", at + 1 < phase);
      made.classList.toggle("none", values[at] === null);
      at + 1 === phase ? made.setAttribute("aria-current", "step") : made.removeAttribute("aria-current");
      value.textContent = (at < phase && values[at]) || "";
    });
  }

  return { root, show };
}

/** The milestones, the latest last: visible and read out. */
export function milestones() {
  const root = element("ol", { className: "narration", role: "log", ariaLabel: "What has happened" });

  function narrate(step, sentence) {
    root.append(element("li", {}, text("small", `step ${step}`), " ", sentence));
    while (root.childElementCount > HAPPENED) root.firstChild.remove();
  }

  return { root, narrate, clear: () => root.replaceChildren() };
}
