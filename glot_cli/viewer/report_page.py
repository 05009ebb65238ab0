"""`report.html`: a result at a glance, so that one sees which seconds to trust. A page of text, pictures and lines.

Nothing in it is a program, and nothing of it is fetched: it opens anywhere.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glot_cli.clock import stretches
from glot_cli.errors import counted, printable
from glot_cli.rendering.colours import person_colour
from glot_cli.results import Result

Floats = NDArray[np.floating]

WIDTH, LEFT, RIGHT = 1000, 92, 14  # of the charts, and what is left free beside them; pixels of the page
STRIP, CHART = 24, 90  # their heights
CELLS = 280  # of a strip, at most
POINTS = 700  # of a line, at most
STILLS = 8
APART_S = 0.5  # seconds between two moments in which people are least sure
GOOD, FAIR = 0.14, 0.21  # metres off up to which joints are green, and up to which they are amber
LIKELY, DOUBTFUL = 0.75, 0.5  # scores of detections from which on they are, where nothing else is known


class Still(NamedTuple):
    """A picture of the page.

    Attributes:
        time: of its frame, seconds.
        jpeg: its bytes.
        why: what it shows.
    """

    time: float
    jpeg: bytes
    why: str


class Trust(NamedTuple):
    """How far rows can be trusted, worst values largest.

    Attributes:
        doubt: (M,) metres that joints may be off, or one less the score of the detection where that is not known.
        good: the doubt up to which a row is green.
        fair: and up to which it is amber.
        known: whether it is metres.
    """

    doubt: Floats
    good: float
    fair: float
    known: bool

    def grade(self, value: float) -> str:
        """Class of a cell."""
        return "good" if value <= self.good else "fair" if value <= self.fair else "bad"

    def told(self, value: float) -> str:
        """A value in words."""
        return f"joints within {100 * value:.0f} cm" if self.known else f"score {100 * (1 - value):.0f} %"


def trust(result: Result) -> Trust:
    """How far each row can be trusted: by the mean of `joint_error` over all joints, where the record has it."""
    if result.joint_error is not None:
        return Trust(result.joint_error.mean(1), GOOD, FAIR, True)
    return Trust(1 - result.score, 1 - LIKELY, 1 - DOUBTFUL, False)


def still_times(result: Result) -> list[tuple[float, str]]:
    """Which moments to show, ascending: spread over the video, and those in which people are least sure.

    Returns:
        (seconds, why) of each.
    """
    if not len(result):
        return []
    times = np.unique(result.time)
    spread = [(float(times[round(k)]), "") for k in np.linspace(0, len(times) - 1, min(STILLS - 2, len(times)))]
    known = trust(result)
    least: list[tuple[float, str]] = []
    for row in np.argsort(-known.doubt, kind="stable"):
        time, person = float(result.time[row]), int(result.person[row])
        if known.doubt[row] <= known.good or len(least) == 2:
            break
        # Not the same moment again.
        if all(abs(time - other) > max(APART_S, 0.05 * (times[-1] - times[0])) for other, _ in least):
            least.append((time, f"person {person} is least sure here: {known.told(known.doubt[row])}"))
    return sorted(dict(spread + least).items())


def report_page(result: Result, report: Mapping[str, Any], pictures: Sequence[Still]) -> str:
    """The page.

    Args:
        result: the record.
        report: what `run.json` says.
        pictures: of the moments that `still_times` names.
    """
    meta = result.meta
    span = _span(result)
    parts = [
        f"<h1>{_text(meta.video)}</h1>",
        f"<p class=sub>{meta.width}&times;{meta.height}, {float(meta.frame_rate):.4g} frames/s, "
        f"{counted(meta.frame_count, 'frame')}, {counted(len(result.people), 'person').replace('persons', 'people')}; "
        f"glot {_text(meta.program_version)}, preset {_text(meta.preset)}, body {_text(meta.body_model)}</p>",
        *_warnings(report),
    ]
    if len(result):
        parts += [
            "<h2>Which seconds to trust</h2>",
            f"<p>{_legend(result)}</p>",
            *(_strip(result.of_person(person), result, span) for person in result.people),
            _axis(span),
            "<h2>How evenly people move</h2>",
            "<p>Mean acceleration of the joints before the camera, m/s&sup2;. Where a line jumps, somebody moves fast, "
            "or the estimate does.</p>",
            _chart(result, span, {person: _acceleration(result.of_person(person)) for person in result.people}),
            _axis(span),
        ]
    if pictures:
        parts += ["<h2>Pictures</h2>", '<div class="stills">', *map(_figure, pictures), "</div>"]
    elif len(result):
        parts.append("<p class=sub>Nothing was drawn, so there are no pictures.</p>")
    parts += [*_people(result), *_worlds(report), *_stages(report)]
    return _PAGE.format(title=_text(meta.video), style=_STYLE, body="\n".join(parts))


def _text(value: object) -> str:
    known = str(value).encode("utf-8", "backslashreplace").decode()  # names of files may be no text
    return html.escape(printable(known))


def _span(result: Result) -> tuple[float, float]:
    """First and last second of the charts."""
    if not len(result):
        return 0.0, 1.0
    first, last = float(result.time.min()), float(result.time.max())
    return first, max(last, first + 1e-3)


def _at(times: Floats, span: tuple[float, float]) -> Floats:
    """Where times are on the page, pixels."""
    return LEFT + (np.asarray(times, float) - span[0]) / (span[1] - span[0]) * (WIDTH - LEFT - RIGHT)


def _name(person: int) -> str:
    red, green, blue = (round(255 * part) for part in person_colour(person))
    dot = f'<circle cx="8" cy="{STRIP / 2}" r="6" fill="rgb({red},{green},{blue})"/>'
    return f'{dot}<text x="20" y="{STRIP / 2 + 4}">person {person}</text>'


def _strip(rows: Result, result: Result, span: tuple[float, float]) -> str:
    """One person's row of cells: green, amber or red by the worst of each moment, empty where nobody is."""
    edges = np.linspace(*span, min(CELLS, result.meta.frame_count) + 1)
    cell = np.clip(np.searchsorted(edges, rows.time, side="right") - 1, 0, len(edges) - 2)
    known, worst = trust(rows), np.full(len(edges) - 1, -np.inf)
    np.maximum.at(worst, cell, known.doubt)
    left, wide = _at(edges[:-1], span), (WIDTH - LEFT - RIGHT) / (len(edges) - 1)
    filled = "".join(
        f'<rect x="{left[k]:.1f}" y="3" width="{wide + 0.4:.1f}" height="{STRIP - 6}" class="{known.grade(worst[k])}">'
        f"<title>{edges[k]:.2f} s: {known.told(worst[k])}</title></rect>"
        for k in np.flatnonzero(np.isfinite(worst))
    )
    return f'<svg viewBox="0 0 {WIDTH} {STRIP}">{_name(int(rows.person[0]))}{filled}</svg>'


def _legend(result: Result) -> str:
    known = trust(result)
    if known.known:
        what = "Mean radius within which joints lie with a probability of 80 %, the largest of each moment"
        marks = f"up to {100 * known.good:.0f} cm", f"up to {100 * known.fair:.0f} cm", "more"
    else:
        what = "Score of the detection, the least of each moment"
        marks = f"from {100 * LIKELY:.0f} %", f"from {100 * DOUBTFUL:.0f} %", "less"
    colours = ", ".join(
        f'<b class="{grade}">&nbsp;</b> {mark}' for grade, mark in zip(("good", "fair", "bad"), marks, strict=True)
    )
    return f"{what}: {colours}. Empty: not seen."


def _acceleration(rows: Result) -> tuple[Floats, Floats]:
    """Times (n,) and mean acceleration (n,) of a person's joints before the camera, m/s^2, from second differences."""
    where = rows.joints3d + rows.transl[:, None]
    times, stretch = rows.time, stretches(rows.ticks, float(rows.meta.frame_rate))
    before, after = times[1:-1] - times[:-2], times[2:] - times[1:-1]
    even = (stretch[2:] == stretch[:-2]) & (rows.shot[2:] == rows.shot[:-2])
    even &= np.maximum(before, after) < 2.5 * np.minimum(before, after)  # no gap in between
    speed = np.diff(where, axis=0) / np.diff(times)[:, None, None]
    change = np.diff(speed, axis=0) / ((before + after) / 2)[:, None, None]
    return times[1:-1][even], np.linalg.norm(change[even], axis=-1).mean(1)


def _chart(result: Result, span: tuple[float, float], lines: Mapping[int, tuple[Floats, Floats]]) -> str:
    """Lines over time, one a person, on a scale that the fastest hundredth may leave."""
    everything = np.concatenate([values for _, values in lines.values()] or [np.zeros(0)])
    top = _round_up(float(np.quantile(everything, 0.99))) if len(everything) else 1.0
    drawn = "".join(_line(person, *line, span, top) for person, line in lines.items())
    marks = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="tick">{value:g}</text>'
        for value, y in ((0, CHART - 6.0), (top / 2, CHART / 2 - 0.5), (top, 5.0))
    )
    return f'<svg viewBox="0 0 {WIDTH} {CHART}">{marks}{drawn}</svg>'


def _line(person: int, times: Floats, values: Floats, span: tuple[float, float], top: float) -> str:
    if not len(times):
        return ""
    red, green, blue = (round(255 * part) for part in person_colour(person))
    step = max(1, math.ceil(len(times) / POINTS))
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    # The greatest of each few: a jump of one frame must not fall between two points.
    starts = np.arange(0, len(times), step)
    peaks = np.maximum.reduceat(values, starts)
    x, y = _at(times[starts], span), CHART - 6 - np.minimum(peaks / top, 1) * (CHART - 11)
    breaks = np.flatnonzero(np.diff(times[starts]) > 3 * usual * step) + 1
    points = np.char.add(np.char.add(np.char.mod("%.1f", x), ","), np.char.mod("%.1f", y))
    pieces = (" ".join(piece) for piece in np.split(points, breaks) if len(piece))
    style = f'fill="none" stroke="rgb({red},{green},{blue})" stroke-width="1.4"'
    return "".join(f'<polyline {style} points="{piece}"/>' for piece in pieces)


def _axis(span: tuple[float, float]) -> str:
    """Seconds below the charts."""
    step = _round_up((span[1] - span[0]) / 10)
    ticks = np.arange(math.ceil(span[0] / step), math.floor(span[1] / step) + 1) * step
    drawn = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="4" class="grid"/>'
        f'<text x="{x:.1f}" y="15" class="mid">{time:g}</text>'
        for time, x in zip(ticks, _at(ticks, span), strict=True)
    )
    return f'<svg viewBox="0 0 {WIDTH} 18">{drawn}<text x="{LEFT - 6}" y="15" class="tick">seconds</text></svg>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... and their tenths."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= value * (1 - 1e-9))


def _figure(still: Still) -> str:
    data = base64.b64encode(still.jpeg).decode()
    why = f"; {_text(still.why)}" if still.why else ""
    picture = f'<img src="data:image/jpeg;base64,{data}" alt="">'
    return f"<figure>{picture}<figcaption>{still.time:.2f} s{why}</figcaption></figure>"


def _warnings(report: Mapping[str, Any]) -> list[str]:
    lines = [*([report["fault"]] if report.get("fault") else []), *report.get("warnings", ())]
    if not lines:
        return []
    return ['<ul class="warn">', *(f"<li>{_text(line)}</li>" for line in lines), "</ul>"]


def _people(result: Result) -> list[str]:
    rows = []
    for person in result.people:
        own = result.of_person(person)
        known = trust(own)
        _, moving = _acceleration(own)
        rows.append(
            (
                person,
                f"{own.time[0]:.2f} to {own.time[-1]:.2f} s",
                len(own),
                f"{100 * own.interpolated.mean():.0f} %",
                known.told(float(known.doubt.mean())),
                f"{100 * (known.doubt > known.fair).mean():.0f} %",
                f"{moving.mean():.1f} m/s&sup2;" if len(moving) else "",
            )
        )
    if not rows:
        return []
    return ["<h2>People</h2>", *_table(["person", "seen", "frames", "filled in", "mean", "red", "acceleration"], rows)]


def _worlds(report: Mapping[str, Any]) -> list[str]:
    rows = [
        (
            shot["first_frame"],
            _text(shot["camera_motion"]),
            f"{100 * shot['camera_confidence']:.0f} %",
            f"&plusmn;{shot['gravity_error']:.1f}&deg;",
        )
        for shot in report.get("worlds", ())
    ]
    return ["<h2>Worlds</h2>", *_table(["from frame", "camera", "sure", "up"], rows)] if rows else []


def _stages(report: Mapping[str, Any]) -> list[str]:
    stages: Mapping[str, Mapping[str, float]] = report.get("stages", {})
    rows = [(_text(name), f"{about.get('seconds', 0):.1f}") for name, about in stages.items()]
    if not rows:
        return []
    return [f"<h2>Time</h2><p>{report.get('seconds', 0):.1f} s in all.</p>", *_table(["stage", "seconds"], rows)]


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table; cells are HTML."""
    lines = ["<table><tr>" + "".join(f"<th>{head}</th>" for head in heads) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return [*lines, "</table>"]


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2330; background: #fff; max-width: 1000px;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; }
p { margin: .3rem 0 .6rem; } .sub { color: #66707f; }
svg { display: block; width: 100%; font-size: 12px; fill: #1c2330; }
.tick { text-anchor: end; fill: #66707f; } .mid { text-anchor: middle; fill: #66707f; } .grid { stroke: #d9dde3; }
.good { fill: #3a9d6b; background: #3a9d6b; } .fair { fill: #e0a526; background: #e0a526; }
.bad { fill: #cf4b3f; background: #cf4b3f; }
b.good, b.fair, b.bad { display: inline-block; width: 1em; border-radius: 2px; }
.stills { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 12px; }
figure { margin: 0; } img { width: 100%; border-radius: 4px; display: block; }
figcaption { color: #66707f; font-size: 13px; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; }
th { color: #66707f; font-weight: 500; } td { border-top: 1px solid #e6e9ee; font-variant-numeric: tabular-nums; }
.warn { background: #fff6e0; border-left: 4px solid #e0a526; padding: .5rem .8rem .5rem 1.8rem; margin: .8rem 0; }
.warn li { overflow-wrap: anywhere; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
