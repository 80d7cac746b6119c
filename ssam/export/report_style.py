"""The style of a report: on a screen, light or dark, on a phone and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#16181d, #e8eaee); --soft: light-dark(#4d515c, #b4b9c4); --grid: light-dark(#d5d8de, #3a3e47);
  --ground: light-dark(#ffffff, #14161a); --card: light-dark(#f6f7f9, #1c1f25); --link: light-dark(#1a5fc4, #82b1ff); }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--ground); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 8px; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 44px 0 12px; padding-top: 12px; border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 20px 0 2px; }
p { margin: 8px 0; max-width: 46em; }
.facts, figcaption { color: var(--soft); font-size: .875rem; }
.lead { font-size: 1.1rem; }
.note { white-space: pre-wrap; border-left: 3px solid var(--grid); padding-left: 14px; }
a { color: var(--link); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: 6px 22px 6px 0; border-bottom: 1px solid var(--grid); vertical-align: top; white-space: nowrap; }
.facts-table td:last-child { white-space: normal; overflow-wrap: anywhere; }
.swatch { display: inline-block; width: .75em; height: .75em; margin-right: .5em; border-radius: 2px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 28px 32px; }
figure { margin: 0; }
.figures svg { display: block; width: 100%; height: auto; }
.figures svg text { font-family: inherit !important; }
.masks { display: flex; flex-wrap: wrap; gap: 12px; }
.masks figure { width: clamp(90px, 27vw, 200px); }
.masks img { display: block; width: 100%; height: auto; image-rendering: pixelated; border: 1px solid var(--grid); }
pre { overflow-x: auto; padding: 14px; background: var(--card); border-radius: 8px; font: .8rem/1.5 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
details { margin: 8px 0; }
summary { cursor: pointer; }
@media print { :root { color-scheme: light; } main { max-width: none; padding: 0; } h2, figure, tr { break-inside: avoid; } a { color: inherit; } }
"""
