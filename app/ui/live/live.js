// @ts-check
// The live panel. mount(host) returns {update, unmount}; every update carries the whole window of the race.

import { accuracyChart, newest, stepsChart, timingChart, STEP_CURVES } from "./charts.js";
import { count, element, epochName, fixed, percent, showCards, showLegend, showWords } from "../parts.js";
import { dispose, isLight, loadPlotly, themeOf } from "../drawing.js";
import { showMasks } from "../masks.js";
import { costs, showStages } from "./stages.js";
import { announcer, headline } from "./announce.js";
import { prepareTables } from "../tables.js";
import { decoded } from "./decode.js";
import { prepareInside } from "./inside.js";
import { prepareGhosts, received, spoken, visible } from "./ghosts.js";
import { Player, cut, heatChosen } from "./replay.js";

const SKELETON = `
  <div class="status">
    <span class="pill"></span><span class="detail"></span>
    <div class="bar" role="progressbar" aria-label="Progress of the race" aria-valuemin="0" aria-valuemax="100"><i></i></div>
  </div>
  <p class="failure" role="alert" hidden></p>
  <p class="headline" aria-hidden="true"></p>
  <div class="cards"></div>
  <div class="curves">
    <p class="ghosts" hidden></p>
    <div class="axis" role="radiogroup" aria-label="Horizontal axis of the curves">
      <span aria-hidden="true">x-axis</span>
      <label><input type="radio" value="epoch" checked><span>epoch</span></label>
      <label><input type="radio" value="gradients"><span>gradients</span></label>
      <label><input type="radio" value="seconds"><span>seconds</span></label>
    </div>
  </div>
  <div class="panels">
    <section class="panel" data-panel="accuracy">
      <header><h3>Test accuracy</h3></header>
      <div class="chart" role="figure"></div>
      <footer></footer>
    </section>
    <section class="panel" data-panel="steps">
      <header><h3><select aria-label="What the curves of the steps show"></select></h3></header>
      <div class="chart" role="figure"></div>
      <footer></footer>
    </section>
    <section class="panel" data-panel="masks">
      <header><h3>Masks</h3></header>
      <div class="tools">
        <label>Layer <select class="layer"></select></label>
        <label class="slide"><span>Mask at</span> <input type="range" min="0" value="0" step="1"><output></output></label>
        <label class="follow"><input type="checkbox" checked><span>latest</span></label>
      </div>
      <div class="maps"></div>
      <p class="empty"></p>
      <footer>A cell is a patch of neighbouring weights. Strong: all of them are perturbed; pale: none.</footer>
    </section>
    <section class="panel" data-panel="timing">
      <header><h3>Time per step</h3></header>
      <div class="legend" aria-hidden="true"></div>
      <div class="chart" role="figure"></div>
      <div class="stages"></div>
      <footer></footer>
    </section>
  </div>
  <ul class="notes"></ul>
  <details class="words whole"><summary>The race as a table</summary><table><thead></thead><tbody></tbody></table></details>`;

export function mount(host) {
  const root = element("section", { className: "race", ariaLabel: "Live race", innerHTML: SKELETON });
  root.dataset.points = 0;
  const find = (selector) => root.querySelector(selector);
  const panel = (name, selector) => find(`[data-panel="${name}"] ${selector}`);
  const charts = Object.fromEntries(["accuracy", "steps", "timing"].map((name) => [name, panel(name, ".chart")]));
  /** @type {{ data: import("./data").Race | null, replayed?: import("./data").Race | null, [key: string]: any }} */
  const state = { axis: "epoch", curve: "loss", layer: null, epoch: null, data: null, set: null };
  const gone = new AbortController();
  const player = new Player(showAt);
  root.prepend(player.root);
  const resized = new ResizeObserver(() => requestAnimationFrame(() => drawCharts()));
  Object.values(charts).forEach((chart) => resized.observe(chart));

  prepareHelp();
  prepareCurves();
  prepareMasks();
  const { liveRegion, announce } = announcer();
  root.append(liveRegion);
  const refreshTables = prepareTables(root, state);
  const inside = prepareInside(panel("accuracy", "footer"), state);
  const showGhosts = prepareGhosts(find(".ghosts"), () => show(state.data));

  /** "What am I seeing?" opens over its panel; Escape, a click elsewhere and moving the focus out close it. */
  function prepareHelp() {
    for (const header of root.querySelectorAll(".panel > header")) {
      const help = element("details", { className: "why" }, element("summary", { textContent: "What am I seeing?" }), element("div"));
      help.onkeydown = (event) => {
        if (event.key === "Escape") help.open = false;
      };
      help.ontoggle = () => help.open && help.lastChild.scrollIntoView({ block: "nearest" });
      header.append(help);
    }
    const leave = ({ target }) => {
      for (const help of root.querySelectorAll(".why[open]")) if (!help.contains(target)) help.open = false;
    };
    document.addEventListener("click", leave, { signal: gone.signal });
    root.addEventListener("focusin", leave);
  }

  function prepareCurves() {
    const curves = panel("steps", "select");
    curves.onchange = () => {
      state.curve = curves.value;
      explain("steps", state.data.curveTexts[state.curve] ?? state.data.texts.steps);
      drawCharts();
    };
    const group = `axis-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    for (const radio of root.querySelectorAll(".axis input")) {
      radio.name = group;
      radio.onchange = () => {
        state.axis = radio.value;
        drawCharts();
      };
    }
  }

  /** Validation accuracy is offered only where the race holds images out. */
  function offerCurves({ validation }) {
    const offered = Object.entries(STEP_CURVES).filter(([name]) => name !== "validation" || validation);
    const curves = panel("steps", "select");
    curves.replaceChildren(...offered.map(([value, { title }]) => new Option(title, value)));
    if (state.curve === "validation" && !validation) state.curve = "loss";
    curves.value = state.curve;
  }

  /** Layer and epoch are requested from the server, which sends only the pictures that are shown. */
  function prepareMasks() {
    const [layer, slider, follow] = [find(".layer"), find(".slide input"), find(".follow input")];
    let waiting = 0;
    const request = () => {
      if (state.replayed && state.layer === state.data.heat.layer) player.show(player.epoch); // all of its epochs are here
      else state.set("view", { run: state.data.run, layer: state.layer, epoch: state.epoch });
    };
    const shown = () => state.data.heat.epochs[slider.value];
    layer.onchange = () => {
      state.layer = layer.value;
      request();
    };
    slider.oninput = () => {
      follow.checked = false;
      state.epoch = shown();
      showEpoch(state.epoch);
      clearTimeout(waiting);
      waiting = setTimeout(request, 80); // one request for a whole drag
    };
    follow.onchange = () => {
      state.epoch = follow.checked ? null : shown();
      request();
    };
  }

  /** @param {{ data: import("./payload").Payload, setStateValue: (name: string, value: unknown) => void, setTriggerValue: (name: string, value: unknown) => void }} component */
  function update({ data: sent, setStateValue, setTriggerValue }) {
    loadPlotly().then(drawCharts).catch(fail);
    if (!sent.lanes) return hide();
    Object.assign(state, { set: setStateValue, trigger: setTriggerValue });
    const race = { ...sent, lanes: decoded(sent.lanes), ghosts: received(sent.before, setStateValue) };
    if (race.replay) replay(race);
    else show(race);
  }

  /** Shown before there is a race. */
  function hide() {
    if (state.replayed) player.pause();
    state.replayed = state.data = null;
    root.remove();
  }

  /** A recorded race has been sent whole: start it, or continue at the playhead with the pictures of another layer. */
  function replay(/** @type {import("./data").Race} */ data) {
    const goesOn = state.replayed?.run === data.run;
    state.replayed = data;
    if (!goesOn) player.begin(data);
    else player.show(player.epoch);
  }

  function showAt(epoch) {
    const data = cut(state.replayed, epoch);
    if (data.heat) data.heat = heatChosen(state.replayed.heats, data.heat, state.data?.run === data.run ? state.epoch : null);
    show(data);
  }

  function show(/** @type {import("./data").Race} */ data) {
    const isRecorded = Boolean(data.replay);
    if (!isRecorded && state.replayed) player.pause();
    if (!isRecorded) state.replayed = null;
    root.dataset.testid = isRecorded ? "recorded-race" : "live-race";
    root.ariaLabel = isRecorded ? data.replay.label : "Live race";
    player.root.hidden = !isRecorded;
    const isOther = state.data?.run !== data.run;
    if (isOther || state.data.state !== data.state) explainAll(data); // a finished race has more explanations
    if (isOther) begin(data);
    state.data = data;
    if (!root.isConnected) host.replaceChildren(root);
    showStatus(data);
    showCards(find(".cards"), data);
    showMaskPanel(data);
    showWords(find(".whole table"), { ...data, lanes: [...data.lanes, ...visible(data)] });
    showGhosts(data);
    inside.show();
    showLegend(find(".legend"), data.phases);
    showStages(find(".stages"), data);
    announce(data);
    find(".headline").textContent = headline(data);
    drawCharts();
  }

  /** Another race than before: reset what was chosen for the last one. */
  function begin(/** @type {import("./data").Race} */ data) {
    state.layer = null;
    state.epoch = data.heat?.epoch ?? null;
    find(".follow input").checked = state.epoch == null;
    root.dataset.points = 0;
    offerCurves(data);
  }

  function explainAll(/** @type {import("./data").Race} */ data) {
    for (const [name, paragraphs] of Object.entries(data.texts)) explain(name, paragraphs);
    explain("steps", data.curveTexts[state.curve] ?? data.texts.steps);
  }

  function explain(name, paragraphs) {
    panel(name, ".why div").replaceChildren(...paragraphs.map((text) => element("p", { textContent: text })));
  }

  function fail(error) {
    find(".failure").hidden = false;
    find(".failure").textContent = `The charts could not be drawn: ${error.message}`;
  }

  function showStatus(/** @type {import("./data").Race} */ data) {
    root.dataset.state = data.state === "starting" ? "queued" : data.state;
    root.dataset.lanes = data.lanes.length;
    root.classList.toggle("blank", Boolean(data.failed) && !data.lanes.some((lane) => lane.points));
    const pill = find(".pill");
    pill.textContent = data.status.word;
    pill.dataset.state = data.state;
    find(".detail").textContent = data.status.detail;
    find(".bar").setAttribute("aria-valuenow", Math.round(100 * data.progress));
    find(".bar i").style.width = `${100 * data.progress}%`;
    find(".failure").hidden = !data.failed;
    if (find(".failure").textContent !== data.failed) find(".failure").textContent = data.failed; // it is read out on every change
    find(".notes").replaceChildren(...data.notes.map((note) => element("li", { textContent: note })));
  }

  function showMaskPanel(/** @type {import("./data").Race} */ { run, heat, lanes, layers }) {
    find('[data-panel="masks"]').classList.toggle("idle", !heat);
    const masked = lanes.some((lane) => lane.masked);
    find(".empty").textContent = masked ? "The first mask is made at the first step." : "No lane of this race has a mask. Sparse SAM has one, and so has SAM restricted to a region.";
    if (!heat) return;
    const [layer, slider] = [find(".layer"), find(".slide input")];
    if (layer.dataset.run !== run) {
      layer.dataset.run = run;
      layer.replaceChildren(...layers.map(({ name, shape }) => new Option(`${name.replace(/^stages\./, "")} (${shape.join("×")})`, name)));
    }
    if (document.activeElement !== layer) layer.value = state.layer = heat.layer;
    slider.max = heat.epochs.length - 1;
    if (state.epoch == null) slider.value = heat.epochs.length - 1;
    showEpoch(heat.epochs[slider.value]);
    showMasks(find(".maps"), state.data);
  }

  /** A mask is drawn before the first step of an epoch: the one at 14.0 on the curves' axis serves the 15th epoch. */
  function showEpoch(epoch) {
    const { epochs } = state.data;
    const when = `start of epoch ${Math.floor(epoch) + 1}${epochs ? ` of ${epochs}` : ""}`;
    find(".slide output").textContent = when;
    find(".slide input").setAttribute("aria-valuetext", when);
  }

  /** Draws the charts; data-points tells how many points of the fullest lane are on the screen. */
  async function drawCharts() {
    const { data, axis, curve } = state;
    if (!data || !window.Plotly || !root.isConnected || !charts.accuracy.clientWidth) return;
    root.style.colorScheme = isLight(getComputedStyle(root).color) ? "dark" : "light"; // for the slider, the checkbox and the lists
    const theme = themeOf(root);
    const drawn = Promise.all([
      accuracyChart(window.Plotly, charts.accuracy, data, axis, theme),
      stepsChart(window.Plotly, charts.steps, data, axis, curve, theme),
      timingChart(window.Plotly, charts.timing, data, theme),
    ]);
    state.drawing = Promise.allSettled([state.drawing, drawn]);
    await drawn;
    inside.listen(charts.accuracy);
    root.dataset.points = Math.max(0, ...data.lanes.map((lane) => lane.steps.loss.length));
    describeCharts(data, axis, curve);
    refreshTables();
  }

  function describeCharts(/** @type {import("./data").Race} */ data, axis, curve) {
    const { lanes, testSize, eigenvalues, heights, validation } = data;
    for (const drawing of root.querySelectorAll(".main-svg")) drawing.ariaHidden = "true"; // a screen reader would read its labels one by one
    const label = (name, what, value) => charts[name].setAttribute("aria-label", `${what} ${lanes.map((lane) => `${lane.title} ${value(lane)}`).join("; ")}.`);
    const newestAccuracy = (epoch) => (epoch ? `${percent(epoch.test_accuracy)} after epoch ${epochName(epoch.epoch)}` : "–");
    label("accuracy", `Test accuracy by ${axis}.`, (lane) => newestAccuracy(lane.epochs.at(-1)));
    charts.accuracy.ariaLabel += spoken(data);
    label("steps", `${STEP_CURVES[curve].title} by ${curve === "convergence" ? "steps" : axis}.`, (lane) => fixed(newest(lane, curve), curve === "validation" ? 1 : 3));
    const cut = curve in heights ? "The axis is cut off above the lanes that did not diverge." : "";
    const footer = curve === "validation" ? validation : stepsFooter(curve, eigenvalues);
    panel("steps", "footer").textContent = [footer, absences(lanes, curve), cut].filter(Boolean).join(" ");
    label("timing", "Milliseconds per training step.", (lane) => [fixed(lane.stepMs, 1), costs(lane)].filter(Boolean).join(", "));
    const during = lanes.flatMap((lane) => lane.epochs).find((epoch) => !epoch.final)?.test_size ?? Math.min(2000, testSize ?? 2000);
    const all = `all${testSize ? ` ${count(testSize)}` : ""} test images`;
    panel("accuracy", "footer").textContent =
      during === testSize
        ? `Evaluated on ${all} after every epoch; the last evaluation is circled.`
        : `Evaluated on ${count(during)} of the test images during the race, on ${all} at the end (circled).`;
    const refreshes = lanes.filter((lane) => lane.phases.mask != null).map((lane) => `${lane.title} ${fixed(lane.phases.mask, 0)} ms`);
    const aside = refreshes.length ? ` Mask refreshes (not in the bars): ${refreshes.join(", ")}.` : "";
    panel("timing", "footer").textContent = `× SGD: each step relative to the SGD step next to it.${aside}`;
  }

  /** The mean lengths of the perturbations, beside the rho of each lane. */
  function lengths(/** @type {import("./data").Lane[]} */ lanes) {
    return lanes.filter(({ radius }) => radius != null).map((lane) => `${lane.title} ${fixed(lane.radius, 3)} (ρ ${lane.rho})`).join(", ") || "–";
  }

  /** Which lanes have no curve, and why: a missing curve is not a curve at zero. */
  function absences(/** @type {import("./data").Lane[]} */ lanes, curve) {
    const absent = lanes.filter(({ steps }) => steps[curve]?.length && steps[curve].every((value) => value == null));
    return absent.map((lane) => `${lane.title} has no such curve: it perturbs ${lane.perturbs ? "only in some steps" : "nothing"}.`).join(" ");
  }

  function stepsFooter(curve, eigenvalues) {
    const hasGhosts = visible(state.data).length > 0;
    const batches = hasGhosts ? "Thin and jagged: batches. Bold: smoothed. Thin and smooth: the race before." : "Thin: batches. Bold: smoothed.";
    if (curve === "convergence") return `The mean of ‖g‖² over the first T steps. Bold: at w. Thin and dotted: at w+ε. Grey: c·log T/√T.${hasGhosts ? " Faint: the race before, at w." : ""}`;
    if (curve === "radius") return `${batches} Mean: ${lengths(state.data.lanes)}.`;
    if (curve !== "eigenvalue") return batches;
    if (!eigenvalues) return "λ₁ was not recorded. Set “Measure λ₁ every” in the training settings before the start, or measure it on the page Flatness.";
    if (eigenvalues.ms == null) return "The first estimates come at the end of an epoch.";
    return `Each estimate takes ${fixed(eigenvalues.ms, 0)} ms; together ${percent(eigenvalues.share)} of the race's time, not counted as the lanes' compute time.`;
  }

  function unmount() {
    gone.abort();
    if (state.replayed) player.pause();
    resized.disconnect();
    root.remove();
    dispose(Object.values(charts), state.drawing);
  }

  return { update, unmount };
}
