// @ts-check
// The class wall: every seed's curves, thin; median and middle 50%, bold; and each seed's difference. mount(host) returns {update, unmount}.

import { element, swatch } from "../ui/parts.js";
import { dispose, loadPlotly, themeOf } from "../ui/drawing.js";
import { floats } from "../ui/wire.js";

const SKELETON = `
  <p class="counts"></p>
  <p class="announced" role="status"></p>
  <p class="failure" role="alert" hidden></p>
  <div class="panels">
    <section class="panel" data-panel="curves">
      <header><h3>Test accuracy by epoch</h3></header>
      <div class="legend"></div>
      <div class="chart" role="img"></div>
      <footer>Thin: one seed each. Bold: the median; shaded: the middle half of the seeds.</footer>
    </section>
    <section class="panel" data-panel="differences">
      <header><h3></h3></header>
      <div class="chart" role="img"></div>
      <footer>Each dot is one seed, with both lanes from the same initial weights. Line: the mean; bar: its 95% interval.</footer>
    </section>
  </div>
  <ul class="verdicts"></ul>
  <ul class="mine"></ul>
  <div class="scroll" tabindex="0" role="region" aria-label="The lanes as a table"><table><caption>Final test accuracy of finished seeds</caption><thead></thead><tbody></tbody></table></div>`;

const CONFIG = { displayModeBar: false, responsive: false };
const MILESTONE = 5; // finished seeds between two announcements

export function mount(host) {
  const root = element("section", { className: "wall", ariaLabel: "Class wall", innerHTML: SKELETON });
  root.dataset.testid = "class-wall";
  root.dataset.seeds = 0;
  const find = (selector) => root.querySelector(selector);
  const charts = Object.fromEntries(["curves", "differences"].map((name) => [name, find(`[data-panel="${name}"] .chart`)]));
  const state = { data: null, milestone: -1 };
  const resized = new ResizeObserver(() => requestAnimationFrame(() => draw()));
  Object.values(charts).forEach((chart) => resized.observe(chart));

  function update({ data }) {
    loadPlotly().then(draw).catch(fail);
    if (state.data?.group !== data.group) {
      find(".legend").replaceChildren(...data.lanes.map((lane) => element("span", {}, swatch(lane), lane.title)));
      state.milestone = -1;
    }
    state.data = { ...data, lanes: data.lanes.map((lane) => ({ ...lane, x: floats(lane.x), y: floats(lane.y) })) };
    if (!root.isConnected) host.replaceChildren(root);
    const { counts, verdicts, words, lanes, reference } = data;
    find(".counts").textContent = counts;
    find('[data-panel="differences"] h3').textContent = `Difference from ${lanes[reference].title}, seed by seed`;
    find('[data-panel="differences"]').hidden = lanes.length < 2;
    fill(find(".verdicts"), verdicts);
    fill(find(".mine"), words);
    showTable(data);
    announce(data);
    describe(data);
  }

  /** Announce milestones, not ticks. */
  function announce({ finished, counts, verdicts }) {
    const milestone = Math.floor(finished / MILESTONE);
    if (milestone > state.milestone && state.milestone >= 0) find(".announced").textContent = [counts, ...verdicts].join(" ");
    state.milestone = milestone;
  }

  function showTable({ lanes, columns, rows }) {
    const cell = (tag, textContent) => element(tag, { textContent });
    const named = (row, at) => {
      const name = element("th", { scope: "row" }, swatch(lanes[at]), row[0]);
      return element("tr", {}, name, ...row.slice(1).map((text) => cell("td", text)));
    };
    find("thead").replaceChildren(element("tr", {}, ...columns.map((text) => element("th", { scope: "col", textContent: text }))));
    find("tbody").replaceChildren(...rows.map(named));
  }

  function describe({ lanes, reference, seeds, mine, rows, verdicts }) {
    const medians = rows.map((row) => `${row[0]} ${row[2]}`).join("; ");
    const own = mine.length ? ` Yours: seed ${mine.map((at) => seeds[at]).join(", ")}.` : "";
    charts.curves.setAttribute("aria-label", `Test accuracy by epoch of ${seeds.length} seeds. Median at the end: ${medians}.${own}`);
    charts.differences.setAttribute("aria-label", `Difference from ${lanes[reference].title} by seed. ${verdicts.join(" ")}`);
  }

  async function draw() {
    const { data } = state;
    if (!data || !window.Plotly || !root.isConnected || !charts.curves.clientWidth) return;
    const theme = themeOf(root);
    const drawn = Promise.all([
      drawCurves(window.Plotly, charts.curves, data, theme),
      charts.differences.clientWidth && drawDifferences(window.Plotly, charts.differences, data, theme),
    ]);
    state.drawing = Promise.allSettled([state.drawing, drawn]);
    await drawn;
    root.dataset.seeds = data.seeds.length;
    root.dataset.finished = data.finished;
    root.dataset.drawn = Math.max(0, ...data.lanes.map((lane) => lane.lengths.filter(Boolean).length)); // seeds with a line
  }

  function fail(error) {
    find(".failure").hidden = false;
    find(".failure").textContent = `The wall could not be drawn: ${error.message}`;
  }

  function unmount() {
    resized.disconnect();
    root.remove();
    dispose(Object.values(charts), state.drawing);
  }

  return { update, unmount };
}

function fill(list, lines) {
  list.replaceChildren(...lines.map((textContent) => element("li", { textContent })));
}

function layout(chart, theme, group, more) {
  const axis = { gridcolor: theme.line, linecolor: theme.line, zeroline: false, ticks: "", automargin: false };
  const title = (text) => ({ text, standoff: 8, font: { size: 13 * theme.scale } });
  return {
    uirevision: group,
    width: chart.clientWidth,
    height: chart.clientHeight,
    margin: { l: 52 * theme.scale, r: 14, t: 10, b: 42 * theme.scale, ...more.margin },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, size: 13 * theme.scale, color: theme.text },
    showlegend: false,
    hovermode: more.hovermode,
    hoverlabel: { bgcolor: theme.panel, bordercolor: theme.line, font: { family: theme.font, color: theme.text } },
    shapes: more.shapes ?? [],
    xaxis: { ...axis, ...more.xaxis, title: title(more.xaxis.title) },
    yaxis: { ...axis, ...more.yaxis },
  };
}

/** The lines of some seeds as one trace, with gaps between them. */
function lines(lane, places) {
  const x = [], y = [];
  let from = 0;
  lane.lengths.forEach((length, at) => {
    if (places.has(at)) {
      x.push(...lane.x.slice(from, from + length), null);
      y.push(...lane.y.slice(from, from + length), null);
    }
    from += length;
  });
  return { type: "scatter", x, y };
}

function drawCurves(Plotly, chart, data, theme) {
  const mine = new Set(data.mine), others = new Set(data.seeds.keys());
  mine.forEach((at) => others.delete(at));
  const thin = [], bands = [], bold = [], own = [];
  for (const lane of data.lanes) {
    const { color, dash, symbol, title, band } = lane;
    const faint = Math.max(0.24, 0.5 / Math.sqrt(Math.max(1, data.seeds.length / 3)));
    thin.push({ ...lines(lane, others), mode: "lines", hoverinfo: "skip", opacity: faint, line: { color, width: theme.scale } });
    bands.push({ type: "scatter", mode: "lines", hoverinfo: "skip", x: [...band.x, ...band.x.toReversed()], y: [...band.high, ...band.low.toReversed()], fill: "toself", fillcolor: `${color}2e`, line: { width: 0 } });
    bold.push({ type: "scatter", mode: "lines", name: title, x: band.x, y: band.middle, customdata: band.n, hovertemplate: "%{y:.1f}% (%{customdata} seeds)", line: { color, dash, width: 3.5 * theme.scale } });
    own.push({ ...lines(lane, mine), mode: "lines+markers", name: `${title}, yours`, hovertemplate: "%{y:.1f}%", line: { color, width: 1.5 * theme.scale }, marker: { color, symbol: `${symbol.replace("-open", "")}-open`, size: 7 * theme.scale } });
  }
  const known = data.lanes.flatMap((lane) => lane.y).filter((value) => value != null);
  const low = known.length ? Math.max(0, 10 * Math.floor(Math.min(...known) / 10 - 0.1)) : 0;
  const high = known.length ? Math.min(102, 10 * Math.ceil(Math.max(...known) / 10 + 0.1)) : 100;
  const more = {
    hovermode: "x unified",
    xaxis: { title: "epoch", ...(data.end ? { range: [0, 1.02 * data.end] } : { rangemode: "tozero" }), unifiedhovertitle: { text: "epoch %{x:.1f}" } },
    yaxis: { ticksuffix: "%", nticks: 7, range: [low, high] },
  };
  return Plotly.react(chart, [...thin, ...bands, ...bold, ...own], layout(chart, theme, data.group, more), CONFIG);
}

/** Spread the dots vertically around the line of their lane, so that they do not hide each other. */
const offset = (at) => 0.09 * ((at * 7) % 5) - 0.18;

function drawDifferences(Plotly, chart, data, theme) {
  const lanes = data.lanes.filter((_, at) => at !== data.reference).reverse(); // Plotly counts from below
  const dots = [];
  /** @type {object[]} */
  const shapes = [{ type: "line", xref: "x", yref: "paper", x0: 0, x1: 0, y0: 0, y1: 1, line: { color: theme.text, width: theme.scale, dash: "dot" } }];
  const mine = new Set(data.mine);
  lanes.forEach((lane, row) => {
    const { color, symbol, differences } = lane;
    if (!differences) return;
    const places = [...differences.values.keys()].filter((at) => differences.values[at] != null);
    const spread = (chosen, more) => ({
      type: "scatter",
      mode: "markers",
      x: chosen.map((at) => differences.values[at]),
      y: chosen.map((at) => row + offset(at)),
      customdata: chosen.map((at) => data.seeds[at]),
      hovertemplate: `${lane.title}, seed %{customdata}: %{x:+.1f} points<extra></extra>`,
      ...more,
    });
    dots.push(spread(places.filter((at) => !mine.has(at)), { marker: { color, symbol, size: 8 * theme.scale, opacity: 0.55 } }));
    dots.push(spread(places.filter((at) => mine.has(at)), { marker: { color, symbol, size: 14 * theme.scale, line: { color: theme.text, width: 2 } } }));
    const line = (x0, x1, y0, y1, width) => shapes.push({ type: "line", x0, x1, y0, y1, line: { color, width: width * theme.scale } });
    line(differences.mean, differences.mean, row - 0.34, row + 0.34, 3.5);
    if (differences.low != null) line(differences.low, differences.high, row - 0.34, row - 0.34, 3.5);
  });
  const titles = lanes.map((lane) => lane.title);
  const longest = Math.max(6, ...titles.map((title) => Math.min(22, title.length)));
  const more = {
    hovermode: "closest",
    shapes,
    margin: { l: (16 + 7.5 * longest) * theme.scale },
    xaxis: { title: "percentage points", nticks: 8, rangemode: "normal", zeroline: false, autorange: true, autorangeoptions: { include: [-1, 1] } },
    yaxis: { gridcolor: "rgba(0,0,0,0)", range: [-0.6, lanes.length - 0.4], tickvals: titles.map((_, at) => at), ticktext: titles },
  };
  const blank = { type: "scatter", mode: "markers", x: [0], y: [0], opacity: 0, hoverinfo: "skip" };
  return Plotly.react(chart, [blank, ...dots], layout(chart, theme, data.group, more), CONFIG);
}
