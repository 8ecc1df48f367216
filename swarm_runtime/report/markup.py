"""Building blocks of the page's HTML: escaped text, tables, and bars on an axis.

Every text that enters the page passes ``text`` or an ``f`` string built of its results: names of
symbols and strategies come from users. No element carries a style attribute, because the page's
content security policy forbids them; lengths are SVG attributes in per cent.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

__all__ = ["Cell", "Interval", "interval_axis", "share_bar", "table", "text"]

#: A cell: what is shown, and the exact value behind it (or None).
Cell = tuple[str, object]
#: A row of ``interval_axis``: label, estimate, ends of its interval (or None), name of its style.
Interval = tuple[str, float, tuple[float, float] | None, str]


def text(value: object) -> str:
    """Return ``value`` as text that is safe inside an element and inside a quoted attribute."""
    return html.escape(str(value), quote=True)


def table(
    caption: str,
    headings: Sequence[tuple[str, str]],
    rows: Sequence[tuple[Sequence[str], Sequence[Cell]]],
    *,
    labels: int = 1,
    hidden_caption: bool = False,
) -> str:
    """Return a table that scrolls sideways by itself where it is too wide.

    Parameters
    ----------
    caption : str
    headings : sequence of (heading, explanation)
        An empty explanation shows none. The first ``labels`` are those of the row headers.
    rows : sequence of (row headers, cells)
    labels : int
        Row headers in each row.
    hidden_caption : bool
        Leave the caption to screen readers, where a heading says the same just above.
    """
    head = "".join(
        f'<th scope="col"{_title(tip)}{" class=label" if at < labels else ""}>{text(name)}</th>'
        for at, (name, tip) in enumerate(headings)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<th scope="row">{text(name)}</th>' for name in names)
        + "".join(_cell(cell) for cell in cells)
        + "</tr>"
        for names, cells in rows
    )
    seen = ' class="unseen"' if hidden_caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f"<table><caption{seen}>{text(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _title(tip: str) -> str:
    return f' title="{text(tip)}"' if tip else ""


def _cell(cell: Cell) -> str:
    shown, exact = cell
    value = "" if exact is None else f' data-value="{text(exact)}"'
    return f"<td{value}>{text(shown)}</td>"


def share_bar(share: float) -> str:
    """Return a bar filled to ``share`` (0 to 1) of its width: decoration beside a number."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        '<svg class="share" aria-hidden="true" focusable="false">'
        '<rect class="track" width="100%" height="100%" rx="2"/>'
        f'<rect class="fill" width="{width:.2f}%" height="100%" rx="2"/></svg>'
    )


def interval_axis(rows: Sequence[Interval], band: float | None, description: str) -> str:
    """Return estimates with their intervals above one axis, in percentage points.

    Parameters
    ----------
    rows : sequence of Interval
        Values are fractions (0.01 is one point).
    band : float or None
        Half width of the region around zero in which this run could show nothing.
    description : str
        The same in words, for those who don't see it.
    """
    ends = [0.0, *(value for row in rows for value in (row[1], *(row[2] or ())))]
    ends += [] if band is None else [band, -band]
    low, high = 100 * min(ends), 100 * max(ends)
    room = 0.06 * (high - low) or 1.0
    low, high = low - room, high + room

    def at(fraction: float) -> str:
        return f"{100 * (100 * fraction - low) / (high - low):.3f}%"

    # Each row is a label and, below it, a track with its own piece of every line of the axis: so
    # no line runs through a text, however narrow the page.
    pitch, label_height, track = 54, 20, 26
    ticks = _ticks(low, high)
    parts = []
    for number, (label, estimate, interval, style) in enumerate(rows):
        top = pitch * number + label_height
        bottom, middle = top + track, top + track // 2
        parts.append(f'<text class="row" x="0" y="{top - 6}">{text(label)}</text>')
        if band is not None and number == 0:
            parts.append(
                f'<rect class="band" x="{at(-band)}" y="{top}" '
                f'width="{100 * 200 * band / (high - low):.3f}%" height="{track}"/>'
            )
        for tick in ticks:
            kind = "zero" if tick == 0 else "tick"
            parts.append(_line(kind, at(tick / 100), at(tick / 100), top, bottom))
        if interval is not None:
            left, right = at(interval[0]), at(interval[1])
            parts.append(_line(f"range {style}", left, right, middle, middle))
            parts += [
                _line(f"end {style}", end, end, middle - 6, middle + 6) for end in (left, right)
            ]
        parts.append(f'<circle class="point {style}" cx="{at(estimate)}" cy="{middle}" r="5"/>')
    foot = pitch * len(rows) + 10
    for tick in ticks:
        label = "0" if tick == 0 else f"{tick:+g}".replace("-", "−")
        parts.append(f'<text class="axis" x="{at(tick / 100)}" y="{foot}">{label}</text>')
    return (
        f'<svg class="intervals" role="img" height="{foot + 6}" '
        f'aria-label="{text(description)}">{"".join(parts)}</svg>'
    )


def _line(kind: str, x1: str, x2: str, y1: int, y2: int) -> str:
    return f'<line class="{kind}" x1="{x1}" x2="{x2}" y1="{y1}" y2="{y2}"/>'


def _ticks(low: float, high: float) -> list[float]:
    """Return about five round numbers from low to high."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= raw)
    first = math.ceil(low / step)
    return [
        round(step * number, 10) for number in range(first, first + 12) if step * number <= high
    ]
