"""The pages in one table, and the links between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

import streamlit as st


@dataclass(frozen=True)
class Page:
    """A script of ``pages/``: ``name`` is its file and its path in the address, ``section`` where the navigation lists it."""

    name: str
    title: str
    icon: str
    section: str = ""

    @property
    def file(self) -> str:
        """The script, from the folder of ``app/main.py``."""
        return f"../pages/{self.name}.py"

    @property
    def symbol(self) -> str:
        return f":material/{self.icon}:"


_ALL = (
    Page("race", "Race", "flag"),  # the one that opens
    Page("runs", "Runs", "history"),
    Page("compare", "Compare", "compare_arrows"),
    Page("sweeps", "Sweeps", "tune"),
    Page("lessons", "Lessons", "school"),
    Page("surface", "Toy surface", "show_chart", "Understand"),
    Page("anatomy", "Anatomy of a step", "footprint", "Understand"),
    Page("methods", "Methods", "functions", "Understand"),
    Page("duel", "Duel", "balance", "Understand"),  # not beside Sweeps: the bar has no more room at 1280 pixels
    Page("masks", "Masks", "grid_on", "Look inside"),
    Page("images", "Images", "photo_library", "Look inside"),
    Page("flatness", "Flatness", "landscape", "Look inside"),
    Page("frontier", "Frontier", "scatter_plot", "Look inside"),
    Page("wall", "Class wall", "groups", "Class"),
    Page("teach", "For teachers", "co_present", "Class"),
    Page("system", "System", "dns", "Class"),
)
PAGES = {page.name: page for page in _ALL}


def link(name: str, label: str = "", address: Mapping[str, str] | None = None, icon: str | None = None) -> None:
    """Draw a link to a page, with its title and icon unless others are given; ``icon`` "" draws none."""
    page = PAGES[name]
    symbol = page.symbol if icon is None else f":material/{icon}:" if icon else None
    st.page_link(page.file, label=label or page.title, icon=symbol, query_params=address)


def open_page(name: str, address: Mapping[str, str]) -> NoReturn:
    """Go to a page at once."""
    st.switch_page(PAGES[name].file, query_params=address)
