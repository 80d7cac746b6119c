// @ts-check
// What all Plotly charts have in common: the library, loaded once per page.

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

/** The theme of the page around a component; larger in presentation mode. */
export function themeOf(root) {
  const style = getComputedStyle(root);
  const look = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const scale = document.documentElement.dataset.view === "projector" ? 1.6 : 1;
  return { text: look("text-color"), line: look("border-color"), font: look("font"), panel: look("secondary-background-color"), active: look("link-color"), scale };
}

/** Whether a computed colour, "rgb(…)", is a light one. */
export function isLight(color) {
  const [red, green, blue] = color.match(/[\d.]+/g).map(Number);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 128;
}

/** Purge charts after pending draws: Plotly would fail on a chart that is gone. */
export async function dispose(charts, drawing) {
  await drawing;
  for (const chart of charts) if (chart.data) window.Plotly.purge(chart);
}
