// @ts-check
// One Plotly figure, updated in place so that a zoom stays. mount(host) returns {update, unmount}.

import { element } from "./parts.js";
import { dispose, loadPlotly, themeOf } from "./drawing.js";

export function mount(host) {
  const chart = element("div", { role: "figure" });
  const failure = element("p", { className: "failure", role: "alert", hidden: true });
  const state = { data: null, trigger: null, listens: false };
  const resized = new ResizeObserver(() => requestAnimationFrame(draw));
  resized.observe(chart);

  function update({ data, setTriggerValue }) {
    Object.assign(state, { data, trigger: setTriggerValue });
    chart.ariaLabel = data.words;
    chart.style.height = `${data.figure.layout.height}px`; // set before drawing, so that nothing below it jumps
    if (!chart.isConnected) host.replaceChildren(failure, chart);
    loadPlotly().then(draw).catch(fail);
  }

  function draw() {
    if (!state.data || !window.Plotly || !chart.clientWidth) return;
    const { figure, config } = state.data;
    const drawn = window.Plotly.react(chart, figure.data, { ...themed(), ...figure.layout, width: chart.clientWidth }, config);
    state.drawing = Promise.allSettled([state.drawing, drawn]);
    if (state.data.clicks && !state.listens) {
      state.listens = true;
      chart.on("plotly_click", ({ points }) => {
        if (points[0].customdata !== undefined) state.trigger("point", points[0].customdata);
      });
    }
    return drawn;
  }

  /** The theme of the page around it. */
  function themed() {
    const { text: color, line, font: family, panel, active } = themeOf(host);
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family, color, size: 12 },
      hoverlabel: { bgcolor: panel, bordercolor: line, font: { family, color } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color, activecolor: active },
    };
  }

  function fail(error) {
    failure.hidden = false;
    failure.textContent = `The chart could not be drawn: ${error.message}`;
  }

  function unmount() {
    resized.disconnect();
    chart.remove();
    dispose([chart], state.drawing);
  }

  return { update, unmount };
}
