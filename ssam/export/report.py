"""A race as one HTML file: it fetches and runs nothing, and can be imported again as a race (``spec_file.spec_of``)."""

import base64
import io
import platform
import shlex
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ssam.catalogue import DATASETS
from ssam.experiment import RaceSpec
from ssam.export import figures, script, spec_file
from ssam.export.report_style import STYLE
from ssam.export.source import Source
from ssam.methods import METHODS
from ssam.stats import proportion
from ssam.store.outcome import Outcome, company
from ssam.store.target import reached, usual_target
from ssam.store.views import Heatmap, default_layer
from ssam.styles import lane_styles

PICTURES = 3  # masks shown per lane: the first, the middle one, the last
PACKAGES = ("ssam-lab", "torch", "torchvision", "numpy")  # packages that affect the numbers
SHOWN = {
    "accuracy": "Test accuracy. Points before the end are measured on a fixed part of the test images, the last one on all.",
    "loss": "Training loss of the batches, with the labels used in training.",
    "accuracy-seconds": "The same accuracy against its cost: the lane's compute time, without evaluation.",
    "step-time": "Time per step. The ratio compares each step with the SGD step next to it, so it also holds on a busy machine."
    " A bar shows the median of each phase; these need not add up to the median step.",
}

Cell = str | tuple[str, str]  # text, or text with a colour swatch


def report(source: Source, folder: Path) -> None:
    """Write ``report.html``."""
    (folder / "report.html").write_text(html(source), encoding="utf-8")


def html(source: Source) -> str:
    """Return the page. It contains the link to the race, so whoever has it can watch the race where it was run."""
    name = source.labels.name or source.title
    body = "\n".join(
        [
            _head(source, name),
            _section("Result", _results(source)),
            _section("Curves", _pictures_of_curves(source)),
            _section("Masks", _masks(source)),
            _section("Settings", _settings(source)),
            _section("About the data", _data_notes(source)),
            _section("Machine and versions", _machine(source)),
            _section("Reproduce", _again(source)),
        ]
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="color-scheme" content="light dark">
<title>{escape(name)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
{spec_file.embedded(source.spec)}
</body>
</html>
"""


def _section(title: str, inside: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{inside}\n</section>" if inside else ""


def _head(source: Source, name: str) -> str:
    run, labels = source.run, source.labels
    when = datetime.fromtimestamp(run.started or run.created, UTC)
    facts = [f"{when.day} {when:%B %Y, %H:%M} UTC", run.state, source.info["device_name"]]
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p class=facts>{escape(' · '.join([source.title] * (name != source.title) + facts))}</p>",
        f"<p class=lead>{escape(_summary(source))}</p>",
    ]
    if labels.note:
        parts.append(f"<p class=note>{escape(labels.note)}</p>")
    if labels.tags:
        parts.append(f"<p class=facts>Tags: {escape(', '.join(labels.tags))}</p>")
    return "<header>\n" + "\n".join(parts) + "\n</header>"


def _summary(source: Source) -> str:
    """Return the result in two sentences."""
    ends = list(zip(source.outcomes, source.lane_titles, strict=bool(source.outcomes)))
    finished = [(end.accuracy, title, end) for end, title in ends if end.accuracy is not None]
    lost = "".join(f" {title} diverged." for end, title in ends if end.status == "diverged")
    if not finished:
        return lost.strip() or "The race had not finished when this was written, so there is no result yet."
    best, title, winner = max(finished, key=lambda each: each[0])
    size = source.info["test_size"]
    sentence = f"{title} was best, with {proportion.said(best, size)} of {size:,} test images right"
    plain = [(accuracy, title) for accuracy, title, end in finished if not METHODS[end.method].perturbs]
    if plain and METHODS[winner.method].perturbs:
        accuracy, title = max(plain)  # the best: one that is trained shorter may have been its equal
        sentence += f", {100 * (best - accuracy):.1f} points more than {title}"
    return f"{sentence}.{lost} This is one seed: repeat with others before calling a small difference a finding."


def _held_out_accuracy(end: Outcome | None) -> str:
    accuracy = end.validation_accuracy if end else None
    return "–" if accuracy is None else f"{100 * accuracy:.2f}"


def _results(source: Source) -> str:
    """Return a row for each lane."""
    spec, window = source.spec, source.window
    ends = source.outcomes or [None] * len(spec.lanes)
    rows: list[list[Cell]] = []
    about = zip(spec.lanes, source.lane_titles, lane_styles(spec), window.lanes, ends, strict=True)
    for lane, title, style, seen, end in about:
        method = METHODS[lane.method]
        accuracy = "–" if end is None else end.status if end.accuracy is None else _accuracy(end)
        spread = f" ({seen.ratio_iqr[0]:.2f}–{seen.ratio_iqr[1]:.2f})" if seen.ratio_iqr else ""
        rows.append(
            [
                (title, style.color),
                _number(100 * (end.sparsity if end else spec.lane_sparsity(lane)), ".0f") if method.sparse else "–",
                f"{spec.lane_rho(lane):g}" if method.perturbs else "–",
                accuracy,
                *([_held_out_accuracy(end)] if spec.validation else []),
                _number(end.test_loss if end else None, ".4f"),
                _number(seen.step_ms, ".1f"),
                _number(seen.ratio, ".2f") + spread,
                _number(seen.seconds, ".1f"),
            ]
        )
    held = ("Validation accuracy %",) if spec.validation else ()
    columns = ("Lane", "Sparsity %", "ρ", "Test accuracy %", *held)
    columns += ("Test loss", "ms/step", "× SGD (quartiles)", "Seconds")
    size = source.info["test_size"]
    image = f"; {one_image}" if (one_image := proportion.one_image(size)) else ""
    notes = [
        f"Last epoch, never the best one; all {size:,} test images. With the accuracy, the {proportion.LEVEL} interval from the number of images{image}.",
        "Sparsity is the share of weights that are not perturbed.",
        f"Step times: medians over all steps but the first few. {company(source.run)}.",
    ]
    if spec.validation:
        notes.append(
            "Validation accuracy is measured on held-out training images, with labels as noisy as those of training."
        )
    stopped = zip(source.outcomes, source.lane_titles, strict=bool(source.outcomes))
    notes += [
        f"{title}: the weights of epoch {end.best_epoch:g}, its best by validation accuracy, count."
        for end, title in stopped
        if end.best_epoch is not None
    ]
    return _table(columns, rows) + "".join(
        f"<p class=facts>{escape(note)}</p>" for note in [*notes, _to_target(source)]
    )


def _to_target(source: Source) -> str:
    """What each lane took to an accuracy that at least two reach; empty before any is known."""
    courses = [lane.epochs for lane in source.window.lanes]
    if (target := usual_target(courses)) is None:
        return ""
    firsts = [(title, reached(course, target)) for title, course in zip(source.lane_titles, courses, strict=True)]
    took = [f"{title} {first.gradients:,} gradients, {first.seconds:.1f} s" for title, first in firsts if first]
    never = [title for title, first in firsts if first is None]
    said = f"To {100 * target:g}% test accuracy (first evaluation at or above it): {'; '.join(took)}."
    return said + f" Never: {'; '.join(never)}." * bool(never)


def _accuracy(end: Outcome) -> str:
    margin = end.margin
    return f"{100 * (end.accuracy or 0):.2f} " + (margin if margin.startswith("±") else f"({margin})")


def _pictures_of_curves(source: Source) -> str:
    drawn = [
        f"<figure role=img aria-label={_quoted(words)}>{figures.inline(source, name)}<figcaption>{escape(words)}</figcaption></figure>"
        for name, words in SHOWN.items()
    ]
    return f'<div class="figures">{"".join(drawn)}</div>'


def _masks(source: Source) -> str:
    """Return the first, middle and last mask of each lane with masks, for the most informative layer."""
    masked = [(lane, title) for lane, title in zip(source.window.lanes, source.lane_titles, strict=True) if lane.masks]
    if not masked or not source.window.layers:
        return ""
    layer = default_layer(source.window)
    shape = next(each["shape"] for each in source.window.layers if each["name"] == layer)
    lines = []
    for lane, title in masked:
        moments = [mask["step"] for mask in lane.masks]
        chosen = sorted({moments[0], moments[len(moments) // 2], moments[-1]})[:PICTURES]
        seen = [source.store.curves.heatmap(source.run.id, lane.name, layer, step) for step in chosen]
        pictures = "".join(_picture(picture, title) for picture in seen if picture)
        last = lane.masks[-1]
        changed = (
            ""
            if last["changed"] is None
            else f", {100 * last['changed']:.1f}% of the entries flipped at the last refresh"
        )
        caption = f"{len(moments)} masks, {100 * last['density']:.1f}% of the network perturbed{changed}"
        lines.append(f"<h3>{escape(title)}</h3><p class=facts>{escape(caption)}.</p><div class=masks>{pictures}</div>")
    intro = (
        f"Layer {layer} ({' × '.join(map(str, shape))}), one output per row; bright = perturbed."
        " If the layer is larger than the picture, a cell shows the perturbed share of its weights."
    )
    return f"<p>{escape(intro)}</p>" + "\n".join(lines)


def _picture(picture: Heatmap, title: str) -> str:
    from PIL import Image

    rows, columns = picture.shape
    file = io.BytesIO()
    Image.frombytes("L", (columns, rows), picture.pixels).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    words = f"Mask of {title} at epoch {picture.epoch:g}, {100 * picture.density:.1f}% of the layer perturbed"
    return (
        f'<figure><img src="data:image/png;base64,{data}" width={columns} height={rows} alt={_quoted(words)}>'
        f"<figcaption>epoch {picture.epoch:g}: {100 * picture.density:.1f}%</figcaption></figure>"
    )


def _settings(source: Source) -> str:
    """Return the chosen settings; those at their defaults are folded away."""
    default = RaceSpec()
    names = {name: getattr(source.spec, name) != getattr(default, name) for name in RaceSpec.model_fields}
    names |= {"dataset": True, "model": True, "lanes": True, "seed": True}
    chosen, left = (
        [[name, _shown(source, name)] for name, is_chosen in names.items() if is_chosen is which]
        for which in (True, False)
    )
    data = DATASETS[source.spec.dataset]
    credit = f"<p class=facts>{escape(f'Data: {data.title}. {data.credit}')}.</p>" if data.credit else ""
    return f"{_facts(chosen)}{credit}<details><summary>Settings at their defaults</summary>{_facts(left)}</details>"


def _data_notes(source: Source) -> str:
    lines = "".join(f"<li>{escape(note)}</li>" for note in source.notes)
    return f"<ul>{lines}</ul>" if lines else ""


def _shown(source: Source, name: str) -> str:
    value = getattr(source.spec, name)
    if name == "lanes":
        return ", ".join(map(str, value))
    return "–" if value is None else str(value)


def _machine(source: Source) -> str:
    info, run = source.info, source.run
    held = f"{info['validation_size']:,} held out for validation, " * bool(info["validation_size"])
    facts = {
        "Trained on": f"{info['device']} ({info['device_name']}), {info['threads']} threads, {info['precision']}",
        "Network": f"{info['parameters']:,} parameters",
        "Images": f"{info['train_size']:,} for training, {held}{info['test_size']:,} for testing, {len(info['classes'])} classes",
        "Other load": company(run),
        "Race": run.id,
        "Specification": source.spec.digest,
        "Versions": ", ".join([f"Python {platform.python_version()}", *_versions()]),
        "Report written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; the versions are those of the lab at that time",
    }
    return _facts([[name, value] for name, value in facts.items()])


def _again(source: Source) -> str:
    flags = [
        part for name, value in source.spec.to_strings().items() for part in ("--" + name.replace("_", "-"), value)
    ]
    command = shlex.join(["python", "-m", "ssam", "race", *flags])
    parts = [
        f'<p><a href={_quoted(source.link)} rel="noreferrer">Open this race</a> where it was run, or give this file to '
        "<em>Import a race file</em> in any SSAM Lab.</p>",
        f"<p>On the command line:</p><pre>{escape(command)}</pre>",
    ]
    for lane, title in enumerate(source.lane_titles):
        if why := script.refusal(source, lane):
            parts.append(f"<p class=facts>No script: {escape(why)}.</p>")
        else:
            code = escape(script.script(source, lane))
            parts.append(f"<details><summary>Python code of {escape(title)}</summary><pre>{code}</pre></details>")
    return "\n".join(parts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    head = "".join(f"<th scope=col>{escape(column)}</th>" for column in columns)
    return (
        f'<div class="wide" tabindex=0><table><thead><tr>{head}</tr></thead><tbody>{_lines(rows)}</tbody></table></div>'
    )


def _facts(rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table of names and values."""
    return f'<table class="facts-table"><tbody>{_lines(rows)}</tbody></table>'


def _lines(rows: Iterable[Sequence[Cell]]) -> str:
    return "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{escape(cell)}</td>"
    text, color = cell
    return f'<td><span class="swatch" style="background: {color}"></span>{escape(text)}</td>'


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _quoted(text: Any) -> str:
    return f'"{escape(str(text), quote=True)}"'


def _versions() -> list[str]:
    """Return a package's version; a server without runner may lack some."""
    versions = []
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return versions
