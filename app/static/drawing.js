// What all that Plotly draws has in common: its code, loaded once a page.

let plotly; // one promise for the page

/** Resolves once window.Plotly is there. */
export function loadPlotly(address) {
  plotly ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve();
    const script = Object.assign(document.createElement("script"), { src: address, onload: resolve });
    script.onerror = () => reject(new Error(`${address} did not load`));
    document.head.append(script);
  });
  return plotly;
}

/** Lets charts go once what is still being drawn in them is drawn: Plotly would miss what it is bereft of here. */
export async function letGo(charts, drawing) {
  await drawing;
  for (const chart of charts) if (chart.data) window.Plotly.purge(chart);
}
