// @ts-check
// What a screen reader is told while a race runs: its milestones, one sentence each, each only once. Never a tick.

import { count, element, epochName, percent } from "../parts.js";

const KEPT = 6; // sentences that stay in the log
const FALLEN = 0.02; // a lane this far below its best accuracy is called worse

const hasDiverged = (/** @type {import("./data").Lane} */ lane) => lane.state === "diverged";

/** A lane's accuracies during the race, by epoch. The final ones are left out: they are on other images. */
const course = (/** @type {import("./data").Lane} */ lane) => new Map(lane.epochs.filter((row) => !row.final && row.test_accuracy != null).map((row) => [row.epoch, row.test_accuracy]));

/** The epochs after which all of these courses have an accuracy, in order. */
const shared = (/** @type {Map<number, number>[]} */ [one, ...others]) => [...(one?.keys() ?? [])].filter((epoch) => others.every((other) => other.has(epoch)));

/** Each lane with its accuracy, the best first: "SAM 80.5%, SGD 69.0%". A diverged lane has none. */
function standing(/** @type {import("./data").Lane[]} */ lanes, accuracy) {
  const going = lanes.filter((lane) => !hasDiverged(lane) && accuracy(lane) != null).sort((a, b) => accuracy(b) - accuracy(a));
  const fallen = lanes.filter(hasDiverged).map((lane) => `${lane.title} diverged`);
  return [...going.map((lane) => `${lane.title} ${percent(accuracy(lane))}`), ...fallen].join(", ");
}

/** The lanes' accuracies at the same epoch: the first or the latest (``at`` 0 or -1) that all of them have reached. */
function standingAt(/** @type {import("./data").Lane[]} */ lanes, at) {
  const epoch = shared(lanes.filter((lane) => !hasDiverged(lane)).map(course)).at(at);
  return epoch == null ? "" : `After epoch ${epochName(epoch)}: ${standing(lanes, (lane) => course(lane).get(epoch))}.`;
}

const finalStanding = (/** @type {import("./data").Lane[]} */ lanes) => standing(lanes, (lane) => lane.epochs.at(-1)?.test_accuracy);

/** A lane's best and its latest accuracy during the race, as [epoch, accuracy]; null before the first. */
function bestAndNewest(/** @type {import("./data").Lane} */ lane) {
  const own = [...course(lane)];
  return own.length ? [own.reduce((best, one) => (one[1] > best[1] ? one : best)), own.at(-1)] : null;
}

/** The milestones reached: a name for each, and its sentence. A lane that perturbs nothing is SGD's. */
export function milestones(/** @type {import("./data").Race} */ { lanes, progress }) {
  const reached = {};
  const first = standingAt(lanes, 0);
  if (first) reached.first = first;
  for (const sgd of lanes.filter((lane) => !lane.perturbs)) {
    const overtaken = lanes.filter((lane) => lane.perturbs).map((lane) => overtook(lane, sgd)).find(Boolean);
    if (overtaken) reached[`overtaken ${sgd.name}`] = overtaken;
    const [best, newest] = bestAndNewest(sgd) ?? [[0, 0], [0, 0]];
    if (best[1] - newest[1] >= FALLEN) {
      reached[`fallen ${sgd.name}`] = `${sgd.title} is getting worse: ${percent(newest[1])} after epoch ${epochName(newest[0])}, down from ${percent(best[1])} after epoch ${epochName(best[0])}.`;
    }
  }
  for (const lane of lanes.filter(hasDiverged)) reached[`diverged ${lane.name}`] = `${lane.title} has diverged at step ${lane.lastStep}.`;
  if (progress >= 0.5 && progress < 1) reached.half = `Half of the race is done. ${standingAt(lanes, -1)}`.trim();
  return reached;
}

/** The latest event of a race in one or two sentences, to be shown; also right when the race is played backwards. */
export function headline(/** @type {import("./data").Race} */ data) {
  const { lanes, progress } = data;
  const { first: _first, half: _half, ...events } = milestones(data);
  if (progress < 1 || !lanes.some((lane) => lane.epochs.length)) return Object.values(events).at(-1) ?? standingAt(lanes, -1);
  return [`Final test accuracy: ${finalStanding(lanes)}.`, ...lanes.filter((lane) => `fallen ${lane.name}` in events).map(peak)].join(" ");
}

/** The best accuracy of a lane, and on how many images: the final evaluation may use more. */
function peak(/** @type {import("./data").Lane} */ lane) {
  const [[epoch, accuracy]] = bestAndNewest(lane);
  const [during, end] = [lane.epochs.find((row) => row.epoch === epoch).test_size, lane.epochs.at(-1).test_size];
  return `${lane.title} peaked at ${percent(accuracy)} after epoch ${epochName(epoch)}${during < end ? ` (on ${count(during)} of the ${count(end)} test images)` : ""}.`;
}

/** Says so if a lane that was not ahead of SGD after their first common epoch is ahead after the latest. */
function overtook(/** @type {import("./data").Lane} */ lane, /** @type {import("./data").Lane} */ sgd) {
  const [own, other] = [course(lane), course(sgd)];
  const epochs = shared([own, other]);
  const [first, newest] = [epochs[0], epochs.at(-1)];
  if (epochs.length < 2 || own.get(first) > other.get(first) || own.get(newest) <= other.get(newest)) return "";
  return `${lane.title} has overtaken ${sgd.title}: ${percent(own.get(newest))} against ${percent(other.get(newest))} after epoch ${epochName(newest)}.`;
}

/** The state of the race. Why it has failed is left to the panel's alert. */
function stateSentence(state, /** @type {import("./data").Race} */ { lanes, replay }) {
  const race = replay ? "The recorded race" : "The race";
  const said = { queued: "is in the queue", running: replay ? "is playing" : "is running", paused: "is paused", stopped: "was stopped", failed: "has failed", interrupted: "has been interrupted" };
  return state === "finished" ? `${race} has finished: ${finalStanding(lanes)}.` : `${race} ${said[state]}.`;
}

/** {liveRegion, announce}: ``announce`` takes what the live panel has been sent. A race that is joined half-way announces only what is new. */
export function announcer() {
  const liveRegion = element("div", { className: "announced", role: "log", ariaLabel: "Milestones of the race" });
  let run = null, state = "", said = new Set();

  function announce(/** @type {import("./data").Race} */ data) {
    const now = data.replay ? (data.progress < 1 ? "running" : "finished") : data.state === "starting" ? "queued" : data.state;
    const reached = milestones(data);
    const known = data.run === run;
    if (!known) [run, state, said] = [data.run, ["queued", "running"].includes(now) && data.progress === 0 ? "" : now, new Set(Object.keys(reached))];
    for (const [name, sentence] of Object.entries(reached)) if (!said.has(name) && said.add(name)) speak(sentence);
    if (state !== now) speak(stateSentence(now, data));
    state = now;
  }

  function speak(sentence) {
    liveRegion.append(element("p", { textContent: sentence }));
    while (liveRegion.childElementCount > KEPT) liveRegion.firstChild.remove();
  }

  return { liveRegion, announce };
}
