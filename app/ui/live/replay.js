// @ts-check
// Plays a recorded race. All of it has been sent at once; what is shown is cut at the playhead, so that the panel draws it as it
// draws a running race.

import { element } from "../parts.js";

const SPEEDS = [1, 4, 12];
const SHORTEST = 8; // seconds that the whole race takes at the initial speed, so that one can follow it
const FRAME = 200; // ms between two pictures
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** An epoch as displayed: rounded down, since rounded up it would name an epoch whose end is not shown yet. */
const tenths = (epoch) => Math.floor(epoch * 10 + 1e-6) / 10;

/** The recorded race as it was when its furthest lane had reached ``epoch``. */
export function cut(/** @type {import("./data").Race} */ data, epoch) {
  const end = epoch >= data.epochs;
  const lanes = data.lanes.map((lane) => {
    const count = end ? lane.steps.epoch.length : lane.steps.epoch.filter((at) => at <= epoch).length;
    const steps = /** @type {typeof lane.steps} */ (Object.fromEntries(Object.entries(lane.steps).map(([name, values]) => [name, values.slice(0, count)])));
    // A lane with fewer epochs of its own has its final evaluation before the race's end.
    const epochs = lane.epochs.filter((row) => end || row.epoch < epoch || (row.epoch === epoch && !row.final));
    return { ...lane, steps, epochs, state: end ? lane.state : /** @type {const} */ ("running"), points: count, seconds: steps.seconds.at(-1) ?? 0 };
  });
  return { ...data, lanes, heat: heatAt(data.heats, epoch), progress: Math.min(1, epoch / data.epochs) };
}

/** The masks in use at an epoch, in the form that the live panel takes. */
function heatAt(/** @type {import("./payload").Heats} */ heats, epoch) {
  if (!heats) return null;
  const epochs = heats.epochs.filter((at) => at <= epoch);
  const maps = Object.fromEntries(Object.entries(heats.maps).map(([lane, drawn]) => [lane, drawn.filter((map) => map.epoch <= epoch).at(-1) ?? drawn[0]]));
  return { layer: heats.layer, epochs: epochs.length ? epochs : heats.epochs.slice(0, 1), epoch: null, maps };
}

/** The masks at the epoch that the reader has chosen, among those up to the playhead. */
export function heatChosen(heats, shown, epoch) {
  return epoch == null ? shown : { ...heatAt(heats, epoch), epochs: shown.epochs, epoch };
}

/** The controls and their clock; ``show`` is called with the epoch of the playhead whenever it moves. */
export class Player {
  constructor(show) {
    this.show = show;
    this.button = element("button", { type: "button", className: "play", onclick: () => this.toggle() });
    this.next = element("button", { type: "button", textContent: "+1 epoch", onclick: () => this.step() });
    this.speed = element("select", { ariaLabel: "Speed of the playback" }, ...SPEEDS.map((times) => new Option(`${times}×`, String(times))));
    this.scrub = element("input", { type: "range", min: 0, step: 0.1, ariaLabel: "Position in the recorded race", oninput: () => this.seek() });
    this.when = element("output");
    this.label = element("b");
    this.about = element("span");
    const about = element("small", {}, this.label, this.about);
    const line = element("div", { className: "line" }, this.button, this.next, this.scrub, this.when, this.speed);
    this.root = element("div", { className: "replay", role: "group", ariaLabel: "Playback of a recorded race" }, about, line);
  }

  /** Start a race from its beginning; if reduced motion is preferred, show the end and wait. */
  begin(/** @type {import("./data").Race} */ data) {
    this.data = data;
    this.label.textContent = data.replay.label;
    this.about.textContent = data.replay.about;
    this.scrub.max = data.epochs;
    this.speed.value = SPEEDS.findLast((times) => data.replay.seconds / times >= SHORTEST) ?? SPEEDS[0];
    this.move(still.matches ? data.epochs : 0);
    if (still.matches) this.pause();
    else this.play();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (this.epoch >= this.data.epochs) this.move(0);
    this.pause();
    this.playing = true;
    this.before = performance.now();
    this.timer = setInterval(() => this.tick(), FRAME);
    this.name();
  }

  pause() {
    clearInterval(this.timer);
    this.playing = false;
    this.name();
  }

  tick() {
    const now = performance.now();
    const passed = Math.min(1000, now - this.before) / 1000; // a hidden tab does not run away
    this.before = now;
    this.move(this.epoch + (passed * this.speed.value * this.data.epochs) / this.data.replay.seconds);
    if (this.epoch >= this.data.epochs) this.pause();
  }

  /** Go to the next whole epoch after the displayed one. */
  step() {
    this.pause();
    this.move(Math.floor(tenths(this.epoch)) + 1);
  }

  seek() {
    this.pause();
    this.move(Number(this.scrub.value));
  }

  move(epoch) {
    this.epoch = Math.min(epoch, this.data.epochs);
    this.scrub.value = tenths(this.epoch);
    const at = `epoch ${tenths(this.epoch).toFixed(1)} of ${this.data.epochs}`;
    this.when.textContent = at;
    this.scrub.setAttribute("aria-valuetext", at);
    this.name();
    this.show(this.epoch);
  }

  name() {
    this.button.textContent = this.playing ? "❚❚ Pause" : this.epoch >= this.data.epochs ? "▶ Replay" : "▶ Play";
  }
}
