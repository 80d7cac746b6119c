// The curves and bars, drawn by Plotly. Each function brings one chart up to date; zoom and hidden traces survive,
// because uirevision stays the same until the reader asks for another axis or curve.

export const STEP_CURVES = {
  loss: { title: "Training loss", hover: ".3f" },
  ascent_gap: { title: "Ascent gap L(w+ε) − L(w)", hover: ".3f" },
  radius: { title: "Effective radius ‖m⊙ε‖", hover: ".4f" },
  grad_norm: { title: "Gradient norm ‖g‖", hover: ".3f" },
};

const AXES = { epoch: "epoch", gradients: "gradients (forward + backward passes)", seconds: "seconds of own compute" };
const CONFIG = {
  displaylogo: false,
  responsive: false,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  toImageButtonOptions: { filename: "race", scale: 2 },
};
const SMOOTHING = 0.8;

function layout(chart, theme, revision, more) {
  const spike = { hoverformat: ".2f", spikecolor: theme.text, spikethickness: -1, spikedash: "dot" }; // -1: no white rim
  const axis = { gridcolor: theme.line, linecolor: theme.line, zeroline: false, ticks: "", automargin: false, fixedrange: false };
  return {
    uirevision: revision,
    width: chart.clientWidth, // told on every call: Plotly's own resizing is late and may meet a chart that is gone
    height: chart.clientHeight,
    margin: { l: 52, r: 14, t: 8, b: 42 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, size: 13, color: theme.text },
    showlegend: false,
    dragmode: "zoom",
    hovermode: "x unified",
    hoverlabel: { bgcolor: theme.panel, bordercolor: theme.line, font: { family: theme.font, color: theme.text } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.line, activecolor: theme.text },
    ...more,
    xaxis: { ...axis, ...spike, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

export function accuracyChart(Plotly, chart, data, axis, theme) {
  const traces = data.lanes.flatMap((lane) => {
    const line = (epochs, more) => ({
      type: "scatter",
      x: epochs.map((epoch) => epoch[axis]),
      y: epochs.map((epoch) => (epoch.test_accuracy == null ? null : 100 * epoch.test_accuracy)),
      customdata: epochs.map((epoch) => epoch.test_size.toLocaleString("en")),
      hovertemplate: "%{y:.1f} % (%{customdata} images)",
      ...more,
    });
    const { color, dash, symbol } = lane;
    return [
      line(lane.epochs.filter((epoch, at, all) => !epoch.final || all[at - 1]?.step !== epoch.step), { name: lane.title, mode: "lines+markers", line: { color, dash, width: 2.5 }, marker: { color, symbol, size: 8 } }),
      line(lane.epochs.filter((epoch) => epoch.final), { name: lane.title, hoverinfo: "skip", hovertemplate: null, mode: "markers", marker: { color, symbol: "circle-open", size: 16, line: { width: 2.5 } } }),
    ];
  });
  const more = { xaxis: { title: { text: AXES[axis], standoff: 8, font: { size: 13 } }, rangemode: "tozero" }, yaxis: { ticksuffix: " %", nticks: 7 } };
  if (!data.lanes.some((lane) => lane.epochs.length)) more.yaxis.range = [0, 100];
  return Plotly.react(chart, traces, layout(chart, theme, `${data.run} ${axis}`, more), CONFIG);
}

/** An exponential mean of the past, so that what is drawn does not move when a point is added. */
function smoothed(values) {
  let sum = 0, weight = 0;
  return values.map((value) => {
    if (value == null) return null;
    sum = SMOOTHING * sum + (1 - SMOOTHING) * value;
    weight = SMOOTHING * weight + (1 - SMOOTHING);
    return sum / weight;
  });
}

export function stepsChart(Plotly, chart, data, axis, curve, theme) {
  const thin = [], bold = [];
  for (const { title, color, dash, steps } of data.lanes) {
    const common = { type: "scatter", mode: "lines", x: steps[axis] };
    thin.push({ ...common, y: steps[curve], hoverinfo: "skip", opacity: 0.25, line: { color, width: 1 } });
    bold.push({ ...common, y: smoothed(steps[curve]), name: title, hovertemplate: `%{y:${STEP_CURVES[curve].hover}}`, line: { color, dash, width: 2.5 } });
  }
  const more = { xaxis: { title: { text: AXES[axis], standoff: 8, font: { size: 13 } }, rangemode: "tozero" }, yaxis: { nticks: 7, rangemode: curve === "ascent_gap" ? "normal" : "tozero" } };
  return Plotly.react(chart, [...thin, ...bold], layout(chart, theme, `${data.run} ${axis} ${curve}`, more), CONFIG);
}

export function timingChart(Plotly, chart, data, theme) {
  const lanes = [...data.lanes].reverse(); // Plotly counts from below
  const titles = lanes.map((lane) => lane.title);
  const traces = data.phases.map(({ name, title, color }) => ({
    type: "bar",
    orientation: "h",
    name: title,
    y: titles,
    x: lanes.map((lane) => lane.phases[name] ?? 0),
    marker: { color },
    hovertemplate: "%{x:.2f} ms",
  }));
  const totals = lanes.map((lane) => data.phases.reduce((sum, { name }) => sum + (lane.phases[name] ?? 0), 0));
  const annotations = lanes.map((lane, at) => ({
    y: titles[at],
    x: totals[at],
    text: lane.ratio == null ? "" : `<b>${lane.ratio.toFixed(2)} ×</b>`,
    showarrow: false,
    xanchor: "left",
    xshift: 6,
  }));
  const longest = Math.max(...totals) || 10;
  const more = {
    barmode: "stack",
    bargap: 0.35,
    hovermode: "y unified",
    margin: { l: 18 + 8 * Math.max(...titles.map((title) => title.length)), r: 14, t: 4, b: 42 },
    annotations,
    xaxis: { title: { text: "milliseconds a step", standoff: 8, font: { size: 13 } }, range: [0, 1.18 * longest] },
    yaxis: { gridcolor: "rgba(0,0,0,0)", fixedrange: true },
  };
  return Plotly.react(chart, traces, layout(chart, theme, data.run, more), CONFIG);
}
