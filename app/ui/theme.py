"""Styles and titles of lanes, under the name that the pages use."""

from ssam.markers import DASHES, Style
from ssam.styles import METHOD_STYLES, PHASE_COLORS, PHASE_TITLES, lane_styles, lane_title, lane_titles, training_words

__all__ = [
    "DASHES",
    "METHOD_STYLES",
    "PHASE_COLORS",
    "PHASE_TITLES",
    "Style",
    "lane_styles",
    "lane_title",
    "lane_titles",
    "training_words",
]
