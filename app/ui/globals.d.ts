// What the browser code finds in the page and did not make.

interface Window {
  Plotly: {
    react(chart: HTMLElement, traces: object[], layout: object, config: object): Promise<unknown>;
    purge(chart: HTMLElement): void;
  };
}
