"""The index of the method cards: a choice of one, each with its method's colour and marker."""

from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from app.methods.cards import GROUPS, Card
from app.ui import theme

KEY = "methods_index"

CSS = """
.ssam-index { container-type: inline-size; color: var(--st-text-color); font-family: var(--st-font); }
.ssam-index > form { display: grid; gap: 14px; --soft: color-mix(in srgb, var(--st-text-color) 68%, var(--st-background-color)); }
.ssam-index fieldset { display: grid; gap: 2px; min-width: 0; margin: 0; padding: 0; border: 0; }
.ssam-index legend { padding: 0 0 4px; color: var(--soft); font-size: .8125rem; }
.ssam-index label { display: flex; align-items: center; gap: 9px; padding: 6px 10px; border: 1px solid transparent; border-radius: var(--st-base-radius); font-size: .9375rem; line-height: 1.35; cursor: pointer; }
.ssam-index label:hover { background: color-mix(in srgb, var(--st-text-color) 5%, transparent); }
.ssam-index input { position: absolute; opacity: 0; width: 1px; height: 1px; margin: 0; }
.ssam-index label:has(:checked) { border-color: var(--st-border-color); background: var(--st-secondary-background-color); font-weight: 620; box-shadow: inset 3px 0 0 var(--method); }
.ssam-index label:has(:focus-visible) { outline: 2px solid var(--st-link-color); outline-offset: 1px; }
.ssam-index i { flex: none; width: 1em; color: var(--method); font-style: normal; text-align: center; }
@container (min-width: 340px) {
  .ssam-index fieldset { display: flex; flex-wrap: wrap; gap: 4px; }
  .ssam-index legend { float: left; width: 100%; }
  .ssam-index label { padding: 5px 12px; border-color: var(--st-border-color); }
}
.st-key-methods_words .katex-display { margin: .5em 0 1em; overflow: visible; }
@media (forced-colors: active) { .ssam-index label:has(:checked) { outline: 2px solid; } }
"""
# The list is rebuilt only when it has changed: a focused choice must stay focused.
SCRIPT = """
const known = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".ssam-index");
  const made = JSON.stringify(data.groups);
  if (known.get(root) !== made) {
    known.set(root, made);
    const form = document.createElement("form");
    form.setAttribute("aria-label", "Method cards");
    form.append(...data.groups.map(fieldset));
    form.onsubmit = (event) => event.preventDefault();
    root.replaceChildren(form);
  }
  for (const input of root.querySelectorAll("input")) {
    input.checked = input.value === data.chosen;
    input.onchange = () => setStateValue("chosen", input.value);
  }
}

function fieldset({ title, cards }) {
  const [group, legend] = [document.createElement("fieldset"), document.createElement("legend")];
  legend.textContent = title;
  group.append(legend, ...cards.map(choice));
  return group;
}

function choice({ name, title, color, glyph }) {
  const [label, input, mark] = ["label", "input", "i"].map((tag) => document.createElement(tag));
  Object.assign(input, { type: "radio", name: "method", value: name });
  label.style.setProperty("--method", color);
  mark.textContent = glyph;
  mark.setAttribute("aria-hidden", "true");
  label.append(input, mark, title);
  return label;
}
"""

TOPS = "".join(
    f".st-key-methods_card_{name} {{ border-top: 3px solid {style.color}; }}\n"
    for name, style in theme.METHOD_STYLES.items()
)

_mount = st.components.v2.component(
    "ssam_index", html='<div class="ssam-index"></div>', css=CSS + TOPS, js=SCRIPT, isolate_styles=False
)


def groups(cards: Iterable[Card]) -> list[dict[str, Any]]:
    """Return the cards by group, for the browser."""
    known = list(cards)
    found = [(title, [card for card in known if card.group == group]) for group, title in GROUPS.items()]
    return [{"title": title, "cards": [_item(card) for card in members]} for title, members in found if members]


def draw(cards: Iterable[Card], chosen: str, changed: Callable[[], None]) -> None:
    """Draw the index. ``changed`` is called when the reader has chosen another card; ``choice`` then returns it."""
    _mount(key=KEY, data={"groups": groups(cards), "chosen": chosen}, on_chosen_change=changed)


def choice() -> str | None:
    """Return what the reader last chose in the browser."""
    return (st.session_state.get(KEY) or {}).get("chosen")


def _item(card: Card) -> dict[str, str]:
    style = theme.METHOD_STYLES[card.method]
    return {"name": card.name, "title": card.title, "color": style.color, "glyph": style.glyph}
