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
