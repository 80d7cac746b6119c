"""A table that scrolls sideways if it is wider than the page, also by keyboard, with a sticky first column."""

from collections.abc import Sequence

import streamlit as st

CSS = """
.ssam-table { container-type: inline-size; color: var(--st-text-color); font-family: var(--st-font); }
.ssam-table > div { overflow-x: auto; }
.ssam-table > div:focus-visible { outline: 2px solid var(--st-link-color); outline-offset: 2px; }
.ssam-table table { width: 100%; border-collapse: collapse; font-size: .875rem; line-height: 1.4; font-variant-numeric: tabular-nums; }
.ssam-table :is(th, td) { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--st-border-color); text-align: left; font-weight: 400; vertical-align: baseline; }
.ssam-table tr > :last-child { padding-right: 0; }
.ssam-table thead th { color: color-mix(in srgb, var(--st-text-color) 68%, var(--st-background-color)); vertical-align: bottom; }
.ssam-table td { white-space: nowrap; }
.ssam-table tbody th { position: sticky; left: 0; min-width: 8.5em; background: var(--st-background-color); }
.ssam-table th:has(i) { padding-left: 1.4em; text-indent: -1.4em; }
.ssam-table i { display: inline-block; width: 1.4em; text-indent: 0; color: var(--mark); font-style: normal; }
"""
SCRIPT = """
export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".ssam-table");
  const made = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text }, more);
  const [scroll, table, head, body] = ["div", "table", "thead", "tbody"].map((tag) => document.createElement(tag));
  const names = document.createElement("tr");
  names.append(...data.columns.map((name) => made("th", name, { scope: "col" })));
  head.append(names);
  body.append(...data.rows.map((cells, number) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text, place) => (place ? made("td", text) : made("th", text, { scope: "row" }))));
    const [glyph, color] = data.marks[number] ?? [];
    if (glyph) {
      const mark = made("i", glyph, { ariaHidden: "true" });
      mark.style.setProperty("--mark", color);
      row.firstChild.prepend(mark);
    }
    return row;
  }));
  table.append(head, body);
  Object.assign(scroll, { tabIndex: 0, role: "region", ariaLabel: data.label });
  scroll.append(table);
  root.replaceChildren(scroll);
}
"""

_mount = st.components.v2.component(
    "ssam_table", html='<div class="ssam-table"></div>', css=CSS, js=SCRIPT, isolate_styles=False
)


def draw(rows: Sequence[dict[str, str]], label: str, key: str, marks: Sequence[tuple[str, str]] = ()) -> None:
    """Draw a table. ``label`` is its name for screen readers; ``marks`` are a glyph and a colour for each row."""
    columns = list(rows[0])
    cells = [[row[name] for name in columns] for row in rows]
    data = {"columns": [name.strip() for name in columns], "rows": cells, "marks": marks, "label": label}
    _mount(key=key, data=data)
