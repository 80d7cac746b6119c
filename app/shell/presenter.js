// @ts-check
// Presentation mode: marks the page, and handles its keyboard shortcuts. mount(host) returns {update, unmount}.

import { element } from "../ui/parts.js";

// What a key presses: the first of these that is visible and enabled. S and P are shortcuts of Streamlit's own buttons.
const PRESSED = {
  n: ['[data-presenter="next"]', ".st-key-lesson_next button", ".st-key-next button"],
  step: ['[data-presenter="step"]', ".st-key-lesson_next button"],
};
const NAMES = { n: "n", N: "n", ArrowRight: "step", " ": "step" };
const OWN_KEYS = "input, textarea, select, [contenteditable], [role=slider], [role=combobox], [role=listbox], [role=tab], [role=radio], [role=textbox]";
const PRESSED_BY_SPACE = "button, summary, a, [role=button], [role=switch], [role=checkbox]";

export function mount(host) {
  const help = element("dialog", { className: "keys", ariaLabel: "Keyboard shortcuts" });
  const gone = new AbortController();
  host.replaceChildren(help);
  document.documentElement.dataset.view = "projector";
  document.addEventListener("keydown", pressed, { signal: gone.signal });

  function pressed(event) {
    const { key, target } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || target.closest?.(OWN_KEYS)) return;
    if (key === "?") {
      if (help.open) help.close();
      else help.showModal();
      return;
    }
    if (help.open || (key === " " && target.closest?.(PRESSED_BY_SPACE))) return;
    const button = find(PRESSED[NAMES[key]] ?? []);
    if (!button) return;
    event.preventDefault();
    button.click();
  }

  function update({ data }) {
    const line = ([key, what]) => element("p", {}, element("kbd", { textContent: key }), ` ${what}`);
    help.replaceChildren(element("h2", { textContent: "Keyboard shortcuts" }), ...data.keys.map(line));
  }

  function unmount() {
    gone.abort();
    delete document.documentElement.dataset.view;
    host.replaceChildren();
  }

  return { update, unmount };
}

/** The first element of the selectors, in order, that is visible and enabled. */
function find(selectors) {
  for (const selector of selectors) {
    for (const found of document.querySelectorAll(selector)) if (found.offsetParent && !found.disabled) return found;
  }
  return null;
}
