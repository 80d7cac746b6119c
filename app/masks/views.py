"""The views of the page Masks: pictures, alternative texts and files."""

import io
import zipfile
from collections.abc import Sequence
from functools import partial

import numpy as np
import streamlit as st

from app.masks import charts, data, panel, query, text
from app.masks.data import Lane, Layers, Source
from app.ui import legend
from app.ui.chart_grid import grid
from ssam.store import Run, Window
from ssam.store.views import ENDED


def view(source: Source, race: Run, window: Window, kind: str, names: Sequence[str], layer: str) -> None:
    """Draw one view of the lanes ``names``."""
    lanes = data.lanes(source, race, window, names)
    if not lanes:
        waits = text.NO_MASK_MADE if race.state in ENDED else text.WAITS
        st.markdown(waits if names else text.NO_LANE)
        return
    if kind == "network":
        _network(source, window, lanes, layer)
    elif kind == "training":
        _training(source, race, window, lanes)
    else:
        _often(source, race, window, lanes, layer)
    if more := _left_out(lanes):
        st.caption(more)
    _files(source, race, window.layers, lanes)


def _network(source: Source, window: Window, lanes: Sequence[Lane], layer: str) -> None:
    panel.draw(panel.network(source, window, lanes, layer, st.session_state.get("masks_epoch")), query.seen)
    _words(text.network(lanes, window.layers))


def _training(source: Source, race: Run, window: Window, lanes: Sequence[Lane]) -> None:
    layers = window.layers
    first = {lane.name: data.since_first(source, race.id, lane, layers) for lane in lanes}
    pairs = data.pairs(source, race.id, lanes, layers)
    words = text.training(lanes, pairs, first)
    legend.draw(legend.lanes(race.spec, [lane.place for lane in lanes]), "masks_legend")
    st.caption(text.DOTTED)
    figures = [charts.changed(lanes), charts.overlap(lanes)]
    if any(first.values()):
        figures.append(charts.from_first(lanes, first))
    if pairs:
        figures.append(charts.between(pairs))
    grid(figures, "masks_training", words, row=2)
    if not any(first.values()):
        st.info(text.NO_OVERLAPS)
    if len(pairs) > charts.PAIRS:
        st.caption(f"The chart shows the first {charts.PAIRS} of {len(pairs)} pairs of lanes; *As text* has all.")
    _words(words)


def _often(source: Source, race: Run, window: Window, lanes: Sequence[Lane], layer: str) -> None:
    found = [one for lane in lanes if (one := data.often(source, race.id, lane, window.layers, layer))]
    if not found:
        st.info(text.NO_BITS)
        return
    words = text.often(found)
    panel.draw(panel.often(race.id, layer, found), query.seen)
    grid([charts.histogram(race.spec, one) for one in found], "masks_often", words, row=3 if len(found) > 2 else 2)
    _words(words)


def _words(words: str) -> None:
    with st.expander("As text", key="masks_words"), st.container(width=860):
        st.markdown(words)


def _left_out(lanes: Sequence[Lane]) -> str:
    """Say that not every mask is used, if there are that many."""
    most = max(lanes, key=lambda lane: len(lane.refreshes))
    if len(most.some) == len(most.refreshes):
        return ""
    return f"{len(most.some)} of {len(most.refreshes):,} masks, evenly spaced, are played, counted and compared; the CSV has them all."


def _files(source: Source, race: Run, layers: Layers, lanes: Sequence[Lane]) -> None:
    name = f"masks-{race.id[:12]}"
    with st.container(horizontal=True, gap="small", key="masks_files"):
        st.download_button(
            "CSV",
            partial(table_csv, lanes),
            f"{name}.csv",
            "text/csv",
            key="masks_csv",
            icon=":material/download:",
            on_click="ignore",
        )
        for lane in lanes:
            if data.has_bits(source, race.id, lane, layers):
                st.download_button(
                    f"{lane.title} (npz)",
                    partial(npz, source, race.id, lane, layers),
                    f"{name}-{lane.place}.npz",
                    "application/octet-stream",
                    key=f"masks_npz_{lane.place}",
                    icon=":material/download:",
                    on_click="ignore",
                    help="Exact masks: a bool array (masks, …) for each layer, with steps and epochs.",
                )


def table_csv(lanes: Sequence[Lane]) -> str:
    """Return every mask of these lanes as CSV, with the density of every layer."""
    from pandas import DataFrame

    lines = [
        {
            "lane": lane.name,
            "step": refresh.step,
            "epoch": refresh.epoch,
            "density": refresh.density,
            "changed": refresh.changed,
            "overlap": refresh.overlap,
            **{f"density of {name}": density for name, density in refresh.densities.items()},
        }
        for lane in lanes
        for refresh in lane.refreshes
    ]
    return str(DataFrame(lines).to_csv(index=False))


def npz(source: Source, run_id: str, lane: Lane, layers: Layers) -> bytes:
    """Return the exact masks of a lane as a numpy file: ``steps``, ``epochs``, and for each layer a bool array (masks, *shape)."""
    kept = data.packed(source, run_id, lane, layers)
    steps = [refresh.step for refresh in lane.some if refresh.epoch in kept]
    arrays: dict[str, np.ndarray] = {"steps": np.array(steps), "epochs": np.array(list(kept))}
    begin = 0
    for layer, size in zip(layers, data.sizes(layers), strict=True):
        bits = [np.unpackbits(mask, count=begin + size)[begin:] for mask in kept.values()]
        arrays[layer["name"]] = np.array(bits, dtype=bool).reshape(len(bits), *layer["shape"])
        begin += size
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:  # savez_compressed takes seconds
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
    return file.getvalue()
