// @ts-check
// What all that Plotly draws has in common: its code, loaded once a page.

let plotly; // one promise for the page

const address = new URL("../plotly.min.js", import.meta.url).href;

/** Resolves once window.Plotly is there. */
export function loadPlotly() {
  plotly ??= new Promise(/** @param {(value?: unknown) => void} resolve */ (resolve, reject) => {
    if (window.Plotly) return resolve();
    const script = Object.assign(document.createElement("script"), { src: address, onload: resolve });
    script.onerror = () => reject(new Error(`${address} did not load`));
    document.head.append(script);
  });
  return plotly;
}

/** The look of the page around a component, for what is drawn in it; larger on a projector. */
export function themeOf(root) {
  const style = getComputedStyle(root);
  const look = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const scale = document.documentElement.dataset.view === "projector" ? 1.6 : 1;
  return { text: look("text-color"), line: look("border-color"), font: look("font"), panel: look("secondary-background-color"), active: look("link-color"), scale };
}

/** Purge charts once what is still being drawn in them is drawn: Plotly would fail on what is gone. */
export async function dispose(charts, drawing) {
  await drawing;
  for (const chart of charts) if (chart.data) window.Plotly.purge(chart);
}
