// @ts-check
// The curves and bars, drawn by Plotly. Each function updates one chart; zoom and hidden traces survive,
// because uirevision stays the same until the reader chooses another axis or curve.

import { thinLine, upToEnd } from "./ghosts.js";

export const STEP_CURVES = {
  loss: { title: "Training loss", hover: ".3f" },
  ascent_gap: { title: "Ascent gap L(w+ε) − L(w)", hover: ".3f" },
  radius: { title: "Effective radius ‖m⊙ε‖", hover: ".4f" },
  grad_norm: { title: "Gradient norm ‖g‖", hover: ".3f" },
  perturbed_norm: { title: "Gradient norm at w+ε", hover: ".3f" },
  convergence: { title: "Convergence", hover: ".3g" },
  eigenvalue: { title: "λ₁ of the Hessian", hover: ".3g" },
  validation: { title: "Validation accuracy", hover: ".1f" },
};

/** Those that are measured once an epoch. */
export const EPOCH_CURVES = {
  eigenvalue: (epoch) => epoch.eigenvalue,
  validation: (epoch) => (epoch.validation_accuracy == null ? null : 100 * epoch.validation_accuracy),
};

const AXES = { epoch: "epoch", gradients: "gradient evaluations", seconds: "compute time, seconds" };
const CONFIG = {
  displaylogo: false,
  responsive: false,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  toImageButtonOptions: { filename: "race", scale: 2 },
};
// The heading of the hover box: each axis with its unit.
const HOVER = { epoch: "epoch %{x:.1f}", gradients: "%{x:,.0f} gradient evaluations", seconds: "%{x:.1f} seconds" };
const SMOOTHING = 0.8;
const STRETCH = 1.5; // times the highest value of the race itself: so far the race before may raise an axis

function layout(chart, theme, revision, more) {
  const spike = { spikecolor: theme.text, spikethickness: -1, spikedash: "dot" }; // -1: no white rim
  const axis = { gridcolor: theme.line, linecolor: theme.line, zeroline: false, ticks: "", automargin: false, fixedrange: false };
  return {
    uirevision: revision,
    width: chart.clientWidth, // set on every call: Plotly's own resizing is late and may meet a chart that is gone
    height: chart.clientHeight,
    margin: { l: 52 * theme.scale, r: 14, t: 26, b: 42 * theme.scale }, // the buttons need the space above
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, size: 13 * theme.scale, color: theme.text },
    showlegend: false,
    dragmode: "zoom",
    hovermode: "x unified",
    hoverlabel: { bgcolor: theme.panel, bordercolor: theme.line, font: { family: theme.font, color: theme.text } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.text, activecolor: theme.active },
    ...more,
    xaxis: { ...axis, ...spike, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

/** The x-axis of both charts of curves. It reaches to the end of the race, so that it does not grow. */
function progressAxis(/** @type {import("./data").Race} */ { ends }, axis, theme) {
  const range = ends[axis] == null ? { rangemode: "tozero" } : between(0, 1.02 * ends[axis]); // room for the last marker
  return { title: { text: AXES[axis], standoff: 8, font: { size: 13 * theme.scale } }, unifiedhovertitle: { text: HOVER[axis] }, ...range };
}

/** An axis from low to high until the reader zooms. Plotly must take it for automatic: a given range that
 *  changes with the data would end a zoom. */
function between(low, high) {
  return { autorange: true, autorangeoptions: { include: [low, high], clipmin: low, clipmax: high } };
}

/** From 0 to the value where curves are cut off, or to the highest value. */
const upTo = (height) => ({ nticks: 7, ...(height == null ? { rangemode: "tozero" } : between(0, height)) });

/** Where an axis is cut off: at ``height`` if there is one, else where the race before would flatten the curves of this one. */
function heightWithin(height, /** @type {import("./data").Values[]} */ own, /** @type {import("./data").Values[]} */ before) {
  const highest = (values) => values.flat().reduce((most, value) => Math.max(most, value ?? 0), 0);
  const limit = STRETCH * highest(own);
  return height ?? (limit > 0 && highest(before) > limit ? limit : undefined);
}

/** An invisible point: Plotly heeds what an axis should include only if there is something to draw. */
const anchor = (low) => ({ type: "scatter", mode: "markers", x: [0], y: [low], opacity: 0, hoverinfo: "skip" });

/** Whole tens of percent around the accuracies, 0 to 100 before there are any. It only grows while a race runs. Lanes that
 *  diverged may leave the chart if others stay in it. */
function tens(/** @type {import("./data").Lane[]} */ all) {
  const sound = all.filter((lane) => lane.state !== "diverged");
  const lanes = sound.some((lane) => lane.epochs.length) ? sound : all;
  const known = lanes.flatMap((lane) => lane.epochs.map((epoch) => epoch.test_accuracy)).filter((share) => share != null);
  if (!known.length) return [0, 100];
  const low = 10 * Math.floor(10 * Math.min(...known) - 0.1);
  const high = 10 * Math.ceil(10 * Math.max(...known) + 0.2);
  return [Math.max(0, low), high < 100 ? high : 102]; // 102: room for the marker at 100%
}

/** The evaluations during a race; the final one of all test images is drawn by itself where there is another one at its step. */
const during = (/** @type {import("./data").Evaluation[]} */ epochs) => epochs.filter((epoch, at) => !epoch.final || epochs[at - 1]?.step !== epoch.step);

const inPercent = (share) => (share == null ? null : 100 * share);

export function accuracyChart(Plotly, chart, /** @type {import("./data").Race} */ data, axis, theme) {
  const traces = data.lanes.flatMap((lane) => {
    const line = (epochs, more) => ({
      type: "scatter",
      meta: lane.name, // a click on a point is one on its lane
      x: epochs.map((epoch) => epoch[axis]),
      y: epochs.map((epoch) => inPercent(epoch.test_accuracy)),
      customdata: epochs.map((epoch) => epoch.test_size.toLocaleString("en")),
      hovertemplate: "%{y:.1f}% (%{customdata} images)",
      ...more,
    });
    const { color, dash, symbol } = lane;
    return [
      line(during(lane.epochs), { name: lane.title, mode: "lines+markers", line: { color, dash, width: 2.5 * theme.scale }, marker: { color, symbol, size: 8 * theme.scale } }),
      line(lane.epochs.filter((epoch) => epoch.final), { name: lane.title, hoverinfo: "skip", hovertemplate: null, cliponaxis: false, mode: "markers", marker: { color, symbol: "circle-open", size: 16 * theme.scale, line: { width: 2.5 } } }),
    ];
  });
  const ghosts = upToEnd(data, axis);
  const before = ghosts.map((lane) => {
    const epochs = during(lane.epochs);
    return thinLine(lane, { x: epochs.map((epoch) => epoch[axis]), y: epochs.map((epoch) => inPercent(epoch.test_accuracy)) });
  });
  const [low, high] = tens([...data.lanes, ...ghosts]);
  const more = { xaxis: progressAxis(data, axis, theme), yaxis: { ticksuffix: "%", nticks: 7, ...between(low, high) } };
  return Plotly.react(chart, [anchor(low), ...before, ...traces], layout(chart, theme, `${data.run} ${axis}`, more), CONFIG);
}

/** An exponential moving average, so that what is drawn does not move when a point is added. */
function smoothed(values) {
  let sum = 0, weight = 0;
  return values.map((value) => {
    if (value == null) return null;
    sum = SMOOTHING * sum + (1 - SMOOTHING) * value;
    weight = SMOOTHING * weight + (1 - SMOOTHING);
    return sum / weight;
  });
}

export function stepsChart(Plotly, chart, /** @type {import("./data").Race} */ data, axis, curve, theme) {
  const draw = curve in EPOCH_CURVES ? epochsChart : curve === "convergence" ? convergenceChart : curvesChart;
  return draw(Plotly, chart, data, axis, curve, theme);
}

/** The latest value of a lane on one of STEP_CURVES; undefined or null before there is one. */
export function newest(/** @type {import("./data").Lane} */ lane, curve) {
  if (curve in EPOCH_CURVES) return lane.epochs.map(EPOCH_CURVES[curve]).findLast((value) => value != null);
  if (curve === "convergence") return runningMean(lane.steps.step, lane.steps.grad_norm).y.at(-1);
  return lane.steps[curve].at(-1);
}

function curvesChart(Plotly, chart, /** @type {import("./data").Race} */ data, axis, curve, theme) {
  const thin = [], bold = [];
  for (const { title, color, dash, steps } of data.lanes) {
    const common = { type: "scatter", mode: "lines", x: steps[axis] };
    thin.push({ ...common, y: steps[curve], hoverinfo: "skip", opacity: 0.25, line: { color, width: 1 } });
    bold.push({ ...common, y: smoothed(steps[curve]), name: title, hovertemplate: `%{y:${STEP_CURVES[curve].hover}}`, line: { color, dash, width: 2.5 } });
  }
  const ghosts = upToEnd(data, axis);
  const before = ghosts.map((lane) => thinLine(lane, { x: lane.steps[axis], y: smoothed(lane.steps[curve]) }));
  const height = heightWithin(data.heights[curve], data.lanes.map(({ steps }) => steps[curve]), before.map(({ y }) => y));
  const more = { xaxis: progressAxis(data, axis, theme), yaxis: upTo(height) };
  return Plotly.react(chart, [anchor(0), ...before, ...thin, ...bold], layout(chart, theme, `${data.run} ${axis} ${curve}`, more), CONFIG);
}

/** The mean of norm² over the first T steps, by T. A point may be the mean of many steps; their mean number gives the count. */
export function runningMean(step, norms) {
  let past = 0, known = 0, sum = 0;
  const x = [], y = [];
  step.forEach((middle, at) => {
    const steps = Math.round(2 * (middle - past) - 1);
    past += steps;
    if (norms[at] == null) return;
    known += steps;
    sum += steps * norms[at] ** 2;
    x.push(past);
    y.push(sum / known);
  });
  return { x, y };
}

/** log T/√T through the point at the end of the first epoch; it rises up to T = e², so it starts after that. */
function guide({ x, y }, stepsPerEpoch) {
  const from = Math.max(8, stepsPerEpoch);
  const at = x.findIndex((steps) => steps >= from);
  if (at < 0) return { x: [], y: [] };
  const rate = (steps) => Math.log(steps) / Math.sqrt(steps);
  const steps = Array.from({ length: 50 }, (_, k) => 8 * (x.at(-1) / 8) ** (k / 49));
  return { x: steps, y: steps.map((count) => (y[at] * rate(count)) / rate(x[at])) };
}

function convergenceChart(Plotly, chart, /** @type {import("./data").Race} */ data, _axis, curve, theme) {
  const line = { type: "scatter", mode: "lines", hovertemplate: `%{y:${STEP_CURVES[curve].hover}}` };
  const atW = [], perturbed = [];
  for (const { title, color, dash, steps } of data.lanes) {
    atW.push({ ...line, ...runningMean(steps.step, steps.grad_norm), name: title, line: { color, dash, width: 2.5 } });
    perturbed.push({ ...line, ...runningMean(steps.step, steps.perturbed_norm), name: `${title} at w+ε`, line: { color, dash: "dot", width: 1.5 } });
  }
  const before = upToEnd(data, "step").map((lane) => thinLine(lane, runningMean(lane.steps.step, lane.steps.grad_norm)));
  const rate = { ...line, ...guide(atW[0], data.stepsPerEpoch), name: "c·log T/√T", line: { color: theme.text, width: 1 }, opacity: 0.6 };
  const title = { text: "T, steps", standoff: 8, font: { size: 13 } };
  const more = {
    xaxis: { type: "log", title, unifiedhovertitle: { text: "%{x:,.0f} steps" } },
    yaxis: { type: "log", nticks: 7 },
  };
  return Plotly.react(chart, [rate, ...before, ...perturbed, ...atW], layout(chart, theme, `${data.run} ${curve}`, more), CONFIG);
}

function epochsChart(Plotly, chart, /** @type {import("./data").Race} */ data, axis, curve, theme) {
  const value = EPOCH_CURVES[curve];
  const aside = { eigenvalue: " (residual %{customdata:.2f})", validation: "%" }[curve];
  const traces = data.lanes.map(({ title, color, dash, symbol, epochs }) => {
    const known = epochs.filter((epoch) => value(epoch) != null);
    return {
      type: "scatter",
      mode: "lines+markers",
      name: title,
      x: known.map((epoch) => epoch[axis]),
      y: known.map(value),
      customdata: known.map((epoch) => epoch.eigenvalue_residual),
      hovertemplate: `%{y:${STEP_CURVES[curve].hover}}${aside}`,
      line: { color, dash, width: 2.5 },
      marker: { color, symbol, size: 8 },
    };
  });
  const before = upToEnd(data, axis).map((lane) => {
    const known = lane.epochs.filter((epoch) => value(epoch) != null);
    return thinLine(lane, { x: known.map((epoch) => epoch[axis]), y: known.map(value) });
  });
  const isShare = curve === "validation";
  const height = heightWithin(data.heights[curve], traces.map(({ y }) => y), before.map(({ y }) => y));
  const yaxis = isShare ? { nticks: 7, ticksuffix: "%" } : upTo(height);
  const more = { xaxis: progressAxis(data, axis, theme), yaxis };
  return Plotly.react(chart, [...(isShare ? [] : [anchor(0)]), ...before, ...traces], layout(chart, theme, `${data.run} ${axis} ${curve}`, more), CONFIG);
}

/** A title in lines of at most ``width`` characters, as far as its words allow. */
function wrapped(title, most) {
  const lines = [""];
  for (const word of title.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length <= most || !lines.at(-1)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

export function timingChart(Plotly, chart, /** @type {import("./data").Race} */ data, theme) {
  const lanes = [...data.lanes].reverse(); // Plotly counts from below
  const titles = lanes.map((lane) => lane.title);
  const traces = data.phases.map(({ name, title, color }) => ({
    type: "bar",
    orientation: "h",
    name: title,
    y: titles,
    x: lanes.map((lane) => lane.phases[name] ?? 0),
    marker: { color, line: { color: theme.panel, width: 1 } }, // visible separation in greyscale too
    hovertemplate: "%{x:.2f} ms",
  }));
  const totals = lanes.map((lane) => data.phases.reduce((sum, { name }) => sum + (lane.phases[name] ?? 0), 0));
  const annotations = lanes.map((lane, at) => ({
    y: titles[at],
    x: totals[at],
    text: !totals[at] ? "not timed yet" : lane.ratio == null ? "" : `<b>${lane.ratio.toFixed(2)}×</b>`,
    showarrow: false,
    xanchor: "left",
    xshift: 6,
  }));
  const longest = Math.max(...totals) || 10;
  const labels = titles.map((title) => wrapped(title, Math.max(12, Math.floor(0.38 * chart.clientWidth / 8))));
  const lines = Math.max(...labels.map((label) => label.length));
  chart.style.minHeight = `${68 + lanes.length * Math.max(27, 17 * lines + 5)}px`; // so that no label runs into the next
  const more = {
    barmode: "stack",
    bargap: 0.35,
    hovermode: "y unified",
    margin: { l: 18 + 8 * Math.max(...labels.flat().map(({ length }) => length)), r: 14, t: 26, b: 42 },
    annotations,
    xaxis: { title: { text: "milliseconds per step", standoff: 8, font: { size: 13 } }, range: [0, 1.18 * longest] },
    yaxis: { gridcolor: "rgba(0,0,0,0)", fixedrange: true, tickvals: titles, ticktext: labels.map((label) => label.join("<br>")) },
  };
  return Plotly.react(chart, traces, layout(chart, theme, data.run, more), CONFIG);
}
