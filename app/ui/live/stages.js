// @ts-check
// A strip of the network's stages for each lane that perturbs: what the ascent runs again, and what that costs.

import { element, swatch, times } from "../parts.js";

// The kinds of segments, as the legend explains them; only those that occur are listed.
const KINDS = {
  once: { words: "runs once", ascent: 0 },
  twice: { words: "runs twice", ascent: 1 },
  light: { words: "twice, the first time without weight gradients", ascent: 2 / 3 },
  part: { words: "twice, the first time on part of the batch", ascent: 1 / 2 },
  some: { words: "only in some steps", ascent: 1, every: 2 },
};

/** FLOPs and measured time, in words. */
export function costs(/** @type {import("./data").Lane} */ { counted, ratio }) {
  return [counted == null ? "" : `FLOPs ${times(counted)}`, ratio == null ? "" : `measured ${times(ratio)}`].filter(Boolean).join(" · ");
}

/** Update the strips; they are made when the stages are first known, then only what changed is touched. */
export function showStages(holder, /** @type {import("./data").Race} */ data) {
  const lanes = data.lanes.filter((lane) => lane.perturbs && lane.counted != null);
  const made = `${data.run} ${lanes.map(({ name, strip }) => `${name} ${strip?.stages.length}`)}`;
  holder.hidden = !lanes.length;
  if (holder.dataset.made !== made) {
    holder.dataset.made = made;
    holder.pointed = null;
    const drawn = lanes.some((lane) => lane.strip);
    const below = [element("p", { className: "pointed", textContent: "Hover over or tap a stage." }), element("p", { className: "kinds", ariaHidden: "true" })];
    holder.replaceChildren(...lanes.map((lane, at) => row(holder, lane, at)), ...(drawn ? below : []));
  }
  lanes.forEach((lane, at) => {
    const row = holder.children[at];
    show(row.querySelector(".costs"), costs(lane));
    lane.strip?.stages.forEach((stage, place) => fill(row.querySelector(".strip").children[place], stage, lane.strip.every));
  });
  if (holder.pointed) point(holder, holder.pointed);
  showKinds(holder.querySelector(".kinds"), lanes);
}

function show(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function row(holder, /** @type {import("./data").Lane} */ lane, at) {
  const title = element("p", {}, swatch(lane), element("b", { textContent: lane.title }), element("span", { className: "costs" }));
  const made = element("div", { className: "steps" }, title);
  made.style.setProperty("--lane", lane.color);
  if (lane.strip) made.append(strip(holder, lane, at));
  return made;
}

/** A list whose entries are read out one by one; the arrow keys move along it. */
function strip(holder, /** @type {import("./data").Lane} */ lane, at) {
  const made = element("div", { className: "strip", role: "listbox", tabIndex: 0, ariaLabel: `Stages of ${lane.title}` });
  made.append(
    ...lane.strip.stages.map((stage, place) => {
      const segment = element("span", { role: "option", id: `stage-${at}-${place}` }, element("i"));
      segment.style.flexGrow = stage.share;
      return segment;
    }),
  );
  const last = made.childElementCount - 1;
  const place = () => [...made.children].indexOf(holder.pointed);
  const follow = ({ target }) => {
    const segment = target.closest(".strip > span");
    if (segment) point(holder, segment);
  };
  made.onpointerover = made.onclick = follow;
  made.onfocus = () => point(holder, made.children[Math.max(0, place())]);
  made.onkeydown = (event) => {
    const next = { ArrowLeft: place() - 1, ArrowRight: place() + 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    point(holder, made.children[Math.max(0, Math.min(last, next))]);
  };
  return made;
}

function fill(segment, /** @type {import("./payload").Stage} */ { name, ascent, kind, words }, every) {
  segment.dataset.kind = kind;
  segment.style.setProperty("--ascent", ascent);
  segment.style.setProperty("--every", every);
  const label = `${name}: ${words}`;
  if (segment.ariaLabel !== label) segment.ariaLabel = label;
}

/** Describe a segment below the strips, and mark it. */
function point(holder, segment) {
  holder.pointed = segment;
  for (const other of holder.querySelectorAll("[aria-selected=true]")) if (other !== segment) other.ariaSelected = "false";
  segment.ariaSelected = "true";
  segment.parentElement.setAttribute("aria-activedescendant", segment.id);
  show(holder.querySelector(".pointed"), segment.ariaLabel);
}

function showKinds(holder, /** @type {import("./data").Lane[]} */ lanes) {
  if (!holder) return;
  const strips = lanes.map((lane) => lane.strip).filter(Boolean);
  const found = new Set(strips.flatMap(({ stages, every }) => stages.flatMap(({ kind }) => (every > 1 && kind !== "once" ? [kind, "some"] : [kind]))));
  const shown = Object.keys(KINDS).filter((kind) => found.has(kind));
  if (holder.dataset.shown === shown.join()) return;
  holder.dataset.shown = shown.join();
  holder.replaceChildren(...shown.map(sample));
}

function sample(kind) {
  const { words, ascent, every = 1 } = KINDS[kind];
  const segment = element("span", { className: "sample" }, element("i"));
  segment.style.setProperty("--ascent", ascent);
  segment.style.setProperty("--every", every);
  return element("span", {}, segment, words);
}
