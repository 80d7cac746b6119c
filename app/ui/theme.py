"""How lanes look and what they are called, under the name by which the pages know it."""

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
