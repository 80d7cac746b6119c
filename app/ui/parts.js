// @ts-check
// Small pieces of the page that are text: the cards of the lanes, the race as a table, the legends.

export const percent = (share, digits = 1) => (share == null ? "–" : `${(100 * share).toFixed(digits)}%`);
export const fixed = (value, digits) => (value == null ? "–" : value.toFixed(digits));
/** The 95% interval of an evaluation from the number of its test images: "± 0.8", or both ends if its sides differ. */
export function margin({ test_accuracy: share, low, high }) {
  if (share == null || low == null) return "";
  if (Math.abs(high - share - (share - low)) < 0.002) return `± ${(50 * (high - low)).toFixed(1)}`;
  return `${(100 * low).toFixed(1)}–${(100 * high).toFixed(1)}%`;
}
export const times = (ratio) => (ratio == null ? "–" : `${ratio.toFixed(2)}×`);
export const epochName = (epoch) => String(Number(epoch.toFixed(1)));
export const count = (number) => number.toLocaleString("en");

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A lane's line and marker, as the charts draw it. @param {import("./wire_types").LaneStyle} style */
export function swatch({ path, hollow, dashes, color }) {
  const inside = hollow ? "var(--st-background-color)" : "currentColor";
  const made = element("span", { className: "swatch", ariaHidden: "true" });
  made.innerHTML =
    `<svg width="30" height="14" style="color:${color}"><path d="M0 7h30" stroke="currentColor" stroke-width="2" stroke-dasharray="${dashes.join(" ")}"/>` +
    `<path d="${path}" transform="translate(15 7) scale(4)" fill="${inside}" stroke="currentColor" stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>`;
  return made;
}

function part(tag, name) {
  const made = element(tag);
  made.dataset.part = name;
  return made;
}

function card(/** @type {import("./live/data").Lane} */ lane) {
  const facts = { loss: "train loss", ms: "ms/step", ratio: "× SGD" };
  const fact = ([name, label]) => element("div", {}, element("dt", { textContent: label }), part("dd", name));
  const made = element(
    "article",
    { className: "card", ariaLabel: lane.title },
    element("header", {}, swatch(lane), element("h3", { textContent: lane.title }), part("span", "state")),
    part("strong", "accuracy"),
    part("small", "of"),
    element("dl", {}, ...Object.entries(facts).map(fact)),
    part("small", "settings"),
  );
  made.style.setProperty("--lane", lane.color);
  return made;
}

/** What a lane perturbs and how, with the measured mean length of its perturbation. */
function settingsOf(/** @type {import("./live/data").Lane} */ { settings, radius }) {
  return radius == null ? settings : `${settings} · mean length ${fixed(radius, 3)}`;
}

/** One card per lane; made once per race, then only the texts change. */
export function showCards(holder, /** @type {import("./live/data").Race} */ data) {
  if (holder.dataset.run !== data.run) {
    holder.dataset.run = data.run;
    holder.replaceChildren(...data.lanes.map(card));
  }
  data.lanes.forEach((lane, at) => {
    const made = holder.children[at];
    const show = (name, text) => {
      made.querySelector(`[data-part="${name}"]`).textContent = text;
    };
    const newest = lane.epochs.at(-1);
    const states = { waiting: "waiting", running: "", finished: "finished", diverged: `diverged at step ${lane.lastStep}` };
    made.dataset.state = lane.state;
    show("state", lane.state === data.state ? "" : states[lane.state]);
    const lost = lane.state === "diverged";
    show("accuracy", lost ? "–" : percent(newest?.test_accuracy)); // an accuracy from before it diverged is not a result
    const seen = lost ? `last seen ${percent(newest?.test_accuracy)}` : newest ? margin(newest) : "";
    const held = newest?.validation_accuracy == null ? "" : ` · validation ${percent(newest.validation_accuracy)}`;
    show("of", newest ? `${seen} after epoch ${epochName(newest.epoch)}, on ${newest.final && !lost ? "all " : ""}${count(newest.test_size)} test images${held}`.trim() : "test accuracy");
    made.querySelector('[data-part="of"]').title = newest ? "95% interval from the number of test images alone" : "";
    show("loss", fixed(newest?.train_loss ?? lane.steps.loss.at(-1), 3));
    show("ms", fixed(lane.stepMs, 1));
    show("ratio", times(lane.ratio));
    show("settings", settingsOf(lane)); // the plan is known once the race has started
    const middle = lane.ratioIqr?.map((ratio) => ratio.toFixed(2)).join(" to ");
    made.querySelector('[data-part="ratio"]').title = middle ? `interquartile range over the steps: ${middle}` : "";
  });
}

/** The race as a table, for those who cannot see the charts. */
export function showWords(table, /** @type {import("./live/data").Race} */ data) {
  const columns = ["Lane", "State", "Epoch", "Test accuracy", "Test loss", "Train loss", "ms/step", "× SGD", "FLOPs ×", "Compute seconds", "ρ", "mean ‖m⊙ε‖"];
  if (data.eigenvalues) columns.push("λ₁ (residual)");
  if (data.validation) columns.push("Validation accuracy");
  const rows = data.lanes.map((lane) => {
    const newest = lane.epochs.at(-1);
    const curved = lane.epochs.findLast((epoch) => epoch.eigenvalue != null);
    const losses = [fixed(newest?.test_loss, 3), fixed(newest?.train_loss, 3)];
    const cost = [fixed(lane.stepMs, 1), times(lane.ratio), times(lane.counted), fixed(lane.seconds, 1)];
    const lengths = [lane.perturbs ? `${lane.rho}` : "–", fixed(lane.radius, 3)];
    const inside = [curved ? `${fixed(curved.eigenvalue, 2)} (${fixed(curved.eigenvalue_residual, 2)})` : "–"];
    const lost = lane.state === "diverged";
    const accuracy = lost ? "–" : percent(newest?.test_accuracy) + (newest ? ` (epoch ${epochName(newest.epoch)})` : "");
    const row = [lane.title, lane.state, fixed(lane.steps.epoch.at(-1), 1), accuracy, ...losses, ...cost, ...lengths];
    const held = lost ? "–" : percent(newest?.validation_accuracy);
    return [...row, ...(data.eigenvalues ? inside : []), ...(data.validation ? [held] : [])];
  });
  const line = (tag, cells) => element("tr", {}, ...cells.map((textContent) => element(tag, { textContent })));
  table.tHead.replaceChildren(line("th", columns));
  table.tBodies[0].replaceChildren(...rows.map((cells) => line("td", cells)));
}

/** The colours of the phases; written once. */
export function showLegend(holder, phases) {
  if (holder.childElementCount) return;
  for (const { title, color } of phases) {
    const item = element("span", { textContent: title });
    item.style.setProperty("--phase", color);
    holder.append(item);
  }
}
