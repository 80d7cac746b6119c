"""What every page shares: its title for screen readers, and contrast fixes for Streamlit's widgets."""

from typing import Any

import streamlit as st

KEY = "ssam_look"
CSS = """
.st-key-ssam_look { position: absolute; width: 1px; overflow: hidden; }
.ssam-title { position: absolute; width: 1px; height: 1px; margin: 0; padding: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

/* Streamlit uses the primary colour here, which in dark mode has a contrast below 4.5:1. */
:is(button[data-variant][data-selected="true"], [data-testid="stSliderThumbValue"]) p { color: LINK; }
/* A popover lies outside the element that carries the theme: use the colour of its own text. */
[data-testid="stPopoverBody"] button[data-variant][data-selected="true"],
[data-testid="stPopoverBody"] button[data-variant][data-selected="true"] p { color: inherit !important; }
/* The ring of an unselected radio button is hardly visible in its border colour. */
[data-testid="stRadioOption"] div:has(> div:only-child:empty) { border-color: #7c7f88; }

/* A table wider than a phone scrolls, but not by keyboard: make it fit. */
@media (max-width: 640px) {
  [data-testid="stTable"] :is(th, td) { padding-inline: 4px !important; overflow-wrap: anywhere; hyphens: auto; font-size: 0.8125rem; }
  [data-testid="stTable"] :is(th, td) p { font-size: inherit; }
}

.stApp :is(a, button, summary):focus-visible { outline: 2px solid LINK; outline-offset: 2px; }

@media (prefers-reduced-motion: reduce) {
  .stApp, .stApp *, .stApp *::before, .stApp *::after {
    animation-duration: 1ms !important; animation-iteration-count: 1 !important; transition-duration: 1ms !important; scroll-behavior: auto !important;
  }
}
"""
SCRIPT = """
export default function ({ parentElement, data }) {
  const title = parentElement.querySelector(".ssam-title");
  if (title.textContent !== data) title.textContent = data;
}
"""


def _component() -> Any:
    """Register the component; only the browser knows the reader's theme."""
    link = f"light-dark({st.get_option('theme.light.linkColor')}, {st.get_option('theme.dark.linkColor')})"
    css = CSS.replace("LINK", link)
    return st.components.v2.component(
        KEY, html='<h1 class="ssam-title"></h1>', css=css, js=SCRIPT, isolate_styles=False
    )


_mount = _component()


def draw(title: str) -> None:
    """Draw what every page shares, before its own content."""
    _mount(key=KEY, data=title)
