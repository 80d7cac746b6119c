// What a screen reader is told of a race while it goes on: its milestones, one sentence each and each only once. Never a tick.

const { count, element, percent } = await import(`./parts.js${new URL(import.meta.url).search}`);

const KEPT = 6; // sentences that stay in the log
const FALLEN = 0.02; // share of accuracy under its best that is told as falling

/** Where each lane stands, the best first: "SAM 80.5 %, SGD 69.0 %". */
function standing(lanes) {
  const known = lanes.filter((lane) => lane.epochs.length).map((lane) => ({ title: lane.title, accuracy: lane.epochs.at(-1).test_accuracy ?? 0 }));
  return known.sort((a, b) => b.accuracy - a.accuracy).map(({ title, accuracy }) => `${title} ${percent(accuracy)}`).join(", ");
}

/** The accuracy of a lane at its evaluations while the race went on. */
const course = (lane) => lane.epochs.filter((epoch) => !epoch.final && epoch.test_accuracy != null).map((epoch) => epoch.test_accuracy);

/** What the data say has been reached: a name for each milestone, and its sentence. Lanes that perturb nothing are SGD's. */
export function milestones({ lanes, progress }) {
  const reached = {};
  if (lanes.length && lanes.every((lane) => lane.epochs.length)) reached.first = `First evaluation: ${standing(lanes)}.`;
  for (const sgd of lanes.filter((lane) => !lane.perturbs)) {
    const [own, best] = [course(sgd), Math.max(...course(sgd))];
    const ahead = lanes.find((lane) => lane.perturbs && overtook(course(lane), own));
    if (ahead) reached[`overtaken ${sgd.name}`] = `${ahead.title} has overtaken ${sgd.title}: ${percent(course(ahead).at(-1))} against ${percent(own.at(-1))}.`;
    if (best - own.at(-1) >= FALLEN) reached[`falling ${sgd.name}`] = `${sgd.title} is falling: ${percent(own.at(-1))}, after ${percent(best)}.`;
  }
  for (const lane of lanes) if (lane.state === "diverged") reached[`diverged ${lane.name}`] = `${lane.title} has diverged at step ${lane.lastStep}.`;
  if (progress >= 0.5 && progress < 1) reached.half = `Half of the race is done: ${standing(lanes)}.`;
  return reached;
}

/** The newest thing to be seen in a race, in one or two sentences: for the eye, and as true when the race is played backwards. */
export function headline(data) {
  const reached = milestones(data);
  delete reached.half;
  const sentence = Object.values(reached).at(-1) ?? "";
  if (data.progress < 1 || !reached.first) return sentence;
  const part = data.lanes.flatMap((lane) => lane.epochs).find((epoch) => !epoch.final)?.test_size;
  const on = part && part < data.testSize ? `, on ${count(part)} of the test images` : ""; // another measurement than that of the end
  const fallen = data.lanes.filter((lane) => `falling ${lane.name}` in reached).map((lane) => ` ${lane.title} had been at ${percent(Math.max(...course(lane)))}${on}.`);
  return `At the end: ${standing(data.lanes)}.${fallen.join("")}`;
}

/** Whether one course, not ahead at its start, is ahead of the other at the newest evaluation that both have had. */
function overtook(one, other) {
  const last = Math.min(one.length, other.length) - 1;
  return last > 0 && one[0] <= other[0] && one[last] > other[last];
}

/** Why a race has failed is not said here: the panel's alert says it. */
function stateSentence(state, lanes) {
  const said = { queued: "is in the queue", running: "is running", paused: "is paused", stopped: "was stopped", failed: "has failed", interrupted: "has been interrupted" };
  return state === "finished" ? `The race has finished: ${standing(lanes)}.` : `The race ${said[state]}.`;
}

/** {node, tell}: ``tell`` takes what the live panel has been sent. Of a race that is met half-way only what is new is told. */
export function announcer() {
  const node = element("div", { className: "told", role: "log", ariaLabel: "Milestones of the race" });
  let run = null, state = "", said = new Set();

  function tell(data) {
    const now = data.replay && data.progress < 1 ? "running" : data.state === "starting" ? "queued" : data.state;
    const reached = milestones(data);
    const known = data.run === run;
    if (!known) [run, state, said] = [data.run, ["queued", "running"].includes(now) && data.progress === 0 ? "" : now, new Set(Object.keys(reached))];
    for (const [name, sentence] of Object.entries(reached)) if (!said.has(name) && said.add(name)) speak(sentence);
    if (state !== now) speak(stateSentence(now, data.lanes));
    state = now;
  }

  function speak(sentence) {
    node.append(element("p", { textContent: sentence }));
    while (node.childElementCount > KEPT) node.firstChild.remove();
  }

  return { node, tell };
}
