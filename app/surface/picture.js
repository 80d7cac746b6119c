// @ts-check
// The picture of the toy surface: the ground on its own canvas, what moves above it, and the movable start.

import { element } from "../ui/parts.js";
import { contourView, groundOf, perspectiveView } from "./ground.js";
import { drawFeeler, drawHead, drawPlaces, drawStep, drawTrail } from "./paths.js";

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };
const [SMALL, LARGE] = [0.05, 0.25]; // distance that a key moves the start, and with Shift
const TAP = 6; // pixels that a pointer may move during a tap
const TURNING = 0.4; // degrees per pixel

/** ``turning`` are the controls of the perspective, which lie in the picture. ``place(point, held)`` moves the start, ``turnTo(degrees)``
 * the perspective, ``redraw`` is called when the picture has another size. */
export function picture(turning, place, turnTo, redraw) {
  const canvas = element("canvas");
  canvas.setAttribute("role", "img");
  const start = element("button", { type: "button", className: "start" }, element("span", { textContent: "start", ariaHidden: "true" }));
  const root = element("div", { className: "picture" }, canvas, start, turning);
  const ground = document.createElement("canvas");
  let [view, settings, painted, look] = [null, null, "", null];
  const resized = new ResizeObserver(() => requestAnimationFrame(redraw));
  resized.observe(root);

  /** The page's colours; those of the ground as [red, green, blue]. */
  function looks() {
    const style = getComputedStyle(root);
    const parts = (color) => color.match(/[\d.]+/g).slice(0, 3).map(Number);
    const [text, paper] = [parts(style.color), parts(style.backgroundColor)];
    const soft = text.map((part, at) => Math.round(0.72 * part + 0.28 * paper[at]));
    const primary = parts(getComputedStyle(start).borderTopColor);
    const dark = paper[0] + paper[1] + paper[2] < 384;
    const ink = text.map((part, at) => Math.round(0.55 * part + 0.45 * primary[at]));
    return { text: `rgb(${text})`, paperText: `rgb(${paper})`, soft: `rgb(${soft})`, font: style.fontFamily, ink, paper, dark };
  }

  const keyOf = ({ ink, paper, font }) => [ink, paper, font].join();

  /** Whether the page's colours differ from the picture's. */
  const stale = () => look !== null && keyOf(looks()) !== keyOf(look);

  /** Paint the ground if it has changed. */
  function prepare(surface, width, height, ratio) {
    look = looks();
    const { surface: name, view: kind, turn } = settings;
    const key = [name, kind, kind === "perspective" && turn, width, height, ratio, keyOf(look)].join();
    if (painted === key) return;
    painted = key;
    const heights = groundOf(name, surface);
    view = kind === "perspective" ? perspectiveView(surface, heights, width, height, turn) : contourView(surface, heights, width, height);
    for (const each of [canvas, ground]) Object.assign(each, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const context = ground.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    view.paint(context, look);
    drawPlaces(context, view, surface, look);
  }

  /** ``styled`` are the methods that are shown, ``follow`` the one whose parts of a step are drawn, up to ``phase``. */
  function draw({ surface, settings: now, phase, share, styled, follow, looksAhead }) {
    settings = now;
    const [width, height, ratio] = [root.clientWidth, root.clientHeight, devicePixelRatio || 1];
    if (!width || !height) return;
    prepare(surface, width, height, ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.drawImage(ground, 0, 0, width, height);
    const at = ([x, y]) => view.place(x, y, surface.loss(x, y));
    const heads = styled.map(({ style, lane }) => {
      const base = phase ? baseOf(lane, phase, share) : between(lane.last?.w ?? lane.w, lane.w, share);
      const behind = lane.trail.slice(0, lane.last && !lane.ascent ? -1 : undefined);
      drawTrail(context, view, behind, at(base), style, look, style.name === "noise" || settings.noisy === "all");
      return { style, lane, point: phase ? headOf(lane, phase, share) : base };
    });
    for (const { style, lane } of heads) {
      const { mask, w, at: ahead } = lane.ascent ?? lane.last ?? { mask: [] };
      if (!phase && looksAhead && (mask[0] || mask[1])) drawFeeler(context, at(w), at(ahead), style.color);
    }
    for (const { style, point } of heads) drawHead(context, at(point), style, look);
    const record = follow?.lane.ascent ?? follow?.lane.last;
    if (record) drawStep(context, view, surface, record, phase, follow.style, look);
    const [x, y] = at([settings.x, settings.y]);
    start.firstChild.hidden = phase > 0; // the arrows need the space
    start.style.transform = `translate(${x}px, ${y}px)`;
  }

  function describe(words, { x, y }) {
    if (canvas.ariaLabel !== words) canvas.ariaLabel = words;
    const name = `Start, at x = ${x.toFixed(2)}, y = ${y.toFixed(2)}: drag it, or move it with the arrow keys`;
    if (start.ariaLabel !== name) start.ariaLabel = name;
  }

  const pixel = (event) => {
    const box = root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  start.onpointerdown = (event) => {
    start.setPointerCapture(event.pointerId);
    start.focus();
    event.preventDefault();
    let held = false;
    start.onpointermove = (moved) => {
      held = true;
      place(view.at(...pixel(moved)), true);
    };
    start.onpointerup = start.onpointercancel = (ended) => {
      start.onpointermove = start.onpointerup = start.onpointercancel = null;
      if (held) place(view.at(...pixel(ended)), false);
    };
  };
  start.onkeydown = (event) => {
    const step = KEYS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const far = event.shiftKey ? LARGE : SMALL;
    place([settings.x + far * step[0], settings.y + far * step[1]], false);
  };

  // A tap moves the start there; in the perspective view a drag rotates the picture.
  canvas.onpointerdown = (event) => {
    const [from, turn] = [settings.turn, settings.view === "perspective"];
    start.focus({ preventScroll: true });
    event.preventDefault();
    if (turn) canvas.setPointerCapture(event.pointerId);
    canvas.onpointermove = turn ? (moved) => turnTo((((from + Math.round((event.clientX - moved.clientX) * TURNING)) % 360) + 360) % 360) : null;
    canvas.onpointerup = canvas.onpointercancel = (ended) => {
      canvas.onpointermove = canvas.onpointerup = canvas.onpointercancel = null;
      const tapped = Math.hypot(ended.clientX - event.clientX, ended.clientY - event.clientY) < TAP;
      if (!turn && tapped && ended.type === "pointerup") place(view.at(...pixel(ended)), false);
    };
  };

  return { root, draw, describe, stale, unmount: () => resized.disconnect() };
}

const between = (from, to, share) => [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share];

/** Where the path of a method ends in a part of a step: at w, in the last part between w and the new w. */
function baseOf({ w, ascent, last }, phase, share) {
  return phase === 6 && !ascent && last ? between(last.w, w, ease(share)) : w;
}

/** The position of a method in a part of a step. */
function headOf(lane, phase, share) {
  const { ascent, w } = lane;
  if (!ascent || phase === 6) return baseOf(lane, phase, share);
  return [w, w, between(w, ascent.at, ease(share)), ascent.at, between(ascent.at, w, ease(share))][phase - 1];
}

/** Ease in, ease out. */
const ease = (share) => share * share * (3 - 2 * share);
