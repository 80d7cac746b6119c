// @ts-check
// The list of races: a checkbox (a recorded race has none), small curves, and the name, which opens the race. mount(host) returns {update, unmount}.

import { element } from "../ui/parts.js";
const SVG = "http://www.w3.org/2000/svg";
const SIZE = [120, 38];

function drawn(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A single point is drawn as a dot. */
function curve({ points, color }) {
  if (points.includes(" ")) return drawn("polyline", { points, stroke: color, fill: "none", "stroke-width": 1.75, "stroke-linejoin": "round" });
  const [cx, cy] = points.split(",");
  return drawn("circle", { cx, cy, r: 2, fill: color });
}

export function mount(host) {
  const all = element("input", { type: "checkbox" });
  const list = element("ul");
  const root = element("section", { ariaLabel: "Races" }, element("label", { className: "all" }, all, "Select all on this page"), list);
  root.dataset.testid = "runs";
  const state = { turn: null, made: "", chosen: new Set(), set: (_name, _value) => {}, trigger: (_name, _value) => {}, base: "" };

  all.onchange = () => {
    for (const box of boxes()) toggle(box.value, all.checked);
    report();
  };

  const boxes = () => [...list.querySelectorAll("input")];

  function toggle(id, on) {
    if (on) state.chosen.add(id);
    else state.chosen.delete(id);
  }

  function show() {
    for (const box of boxes()) {
      box.checked = state.chosen.has(box.value);
      box.closest("li").classList.toggle("chosen", box.checked);
    }
    const count = boxes().filter((box) => box.checked).length;
    all.checked = count > 0 && count === boxes().length;
    all.indeterminate = count > 0 && !all.checked;
  }

  function report() {
    show();
    state.set("chosen", boxes().filter((box) => box.checked).map((box) => box.value));
  }

  function line(row) {
    const box = element("input", { type: "checkbox", value: row.id, ariaLabel: `Select ${row.title}, ${row.says}` });
    box.onchange = () => {
      toggle(row.id, box.checked);
      report();
    };
    const link = element("a", { href: `${state.base}/?${row.recorded ? "preset" : "run"}=${row.id}`, textContent: row.title });
    link.onclick = (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab or window: leave it to the browser
      event.preventDefault();
      state.trigger("open", row.id);
    };
    const picture = drawn("svg", { viewBox: `0 0 ${SIZE.join(" ")}`, width: SIZE[0], height: SIZE[1], role: "img", "aria-label": row.words }, ...row.curves.map(curve));
    const tags = row.tags.map((tag) => element("i", { className: "tag", textContent: tag }));
    const best = row.best.length ? [element("strong", { textContent: row.best[0] }), element("small", { textContent: row.best[1] })] : [];
    const says = element("small", { className: "says" }, element("span", { className: "dot" }), row.says);
    const text = [element("span", { className: "name" }, link, ...tags), element("small", { textContent: [row.detail, row.lanes].filter(Boolean).join(" · ") }), says];
    if (row.note) text.push(element("small", { className: "note", textContent: row.note }));
    const made = element("li", {}, ...(row.recorded ? [] : [element("label", { className: "box" }, box)]), picture, element("div", { className: "text" }, ...text), element("div", { className: "best" }, ...best));
    made.dataset.state = row.state;
    made.classList.toggle("recorded", row.recorded);
    return made;
  }

  function update({ data, setStateValue, setTriggerValue }) {
    Object.assign(state, { set: setStateValue, trigger: setTriggerValue, base: data.base });
    const made = JSON.stringify(data.rows);
    if (made !== state.made || data.turn !== state.turn) state.chosen = new Set(data.chosen); // otherwise the reader may be ahead of the server
    state.turn = data.turn;
    if (made !== state.made) {
      state.made = made;
      const focused = /** @type {HTMLInputElement | null} */ (list.querySelector("input:focus"))?.value;
      list.replaceChildren(...data.rows.map(line));
      boxes().find((box) => box.value === focused)?.focus(); // the list was rebuilt while a box had the focus
    }
    root.hidden = !data.rows.length;
    all.parentElement.hidden = !boxes().length;
    if (!root.isConnected) host.replaceChildren(root);
    show();
  }

  return { update, unmount: () => root.remove() };
}
