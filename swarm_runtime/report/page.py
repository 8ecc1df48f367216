"""One self-contained HTML page that shows what a run found.

The page needs no network and may use none: its content security policy names the hashes of its
own scripts and style sheets and forbids everything else. Text is escaped in ``markup``,
data travels as JSON in which no ``<`` is left, so names given by users stay text. Sections that
are tables are HTML (``sections``); charts are drawn by ``assets/report.js`` with uPlot.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from swarm_runtime.report import samples, sections
from swarm_runtime.report.curves import AGENTS_SHOWN, chart_data
from swarm_runtime.report.markup import text
from swarm_runtime.report.series import ArmSeries
from swarm_runtime.report.words import ARM_WORDS, agent_words

__all__ = ["render_page", "write_page"]

_FOOTER = (
    "Signals use bars up to a close and are filled at the next open; fees and slippage are "
    "included. Returns are simple returns of closing equity; Sharpe and Sortino use a riskless "
    "rate of 0. Each arm starts with the same capital, the same bars and the same seeds. Past "
    "prices say nothing certain about later ones."
)


def write_page(path: Path, report: Mapping[str, Any], arms: Sequence[ArmSeries]) -> None:
    """Write ``report.html``.

    Parameters
    ----------
    path : Path
        The file; overwritten.
    report : mapping
        What ``report.json`` holds.
    arms : sequence of ArmSeries
        One or two, as in ``report["arms"]``.
    """
    path.write_text(render_page(report, arms), encoding="utf-8")


def render_page(report: Mapping[str, Any], arms: Sequence[ArmSeries]) -> str:
    """Return the page as text; see ``write_page``."""
    ordered = sorted(arms, key=lambda arm: arm.name != "on")
    config = report["config"]
    trading = config["trading"]
    data = chart_data(
        ordered, cash_usd=trading["cash_usd"], learn_fraction=trading["learn_fraction"]
    )
    parts = _sections(report, ordered, trading["cash_usd"])
    styles = [_asset("uPlot.min.css"), _asset("report.css")]
    scripts = [_asset(f"{name}.js") for name in ("uPlot.iife.min", "report", "choices")]
    return Template(_asset("page.html")).substitute(
        title=text(f"Swarm run {report['run_id']}"),
        script_hashes=_hashes(scripts),
        style_hashes=_hashes(styles),
        licence=_asset("uPlot.LICENSE.txt").replace("--", "- -"),
        styles="\n".join(f"<style>{style}</style>" for style in styles),
        header=sections.header(report),
        navigation="".join(
            f'<li><a href="#{key}">{key.capitalize()}</a></li>' for key, _, _ in parts
        ),
        sections="\n".join(
            f'<section id="{key}" aria-labelledby="{key}-title">'
            f'<h2 id="{key}-title">{text(name)}</h2>{body}</section>'
            for key, name, body in parts
        ),
        footer=f"<p>{text(_FOOTER)}</p>",
        data=_embedded(data),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _sections(
    report: Mapping[str, Any], arms: Sequence[ArmSeries], cash_usd: float
) -> list[tuple[str, str, str]]:
    """Return (id, heading, HTML) of each section, in order."""
    main = arms[0]
    parts = []
    if report.get("comparison") is not None:
        parts.append(("comparison", "What memory did", sections.comparison(report["comparison"])))
    parts += [
        (
            "equity",
            "Equity",
            '<div class="toggles" id="toggles"></div>'
            + _chart("equity-chart", "Return of the swarm and of each agent since the start")
            + samples.equity_table(arms, cash_usd),
        ),
        (
            "drawdown",
            "Drawdown",
            _chart("drawdown-chart", "Fall from the highest equity so far, swarm and agents"),
        ),
        ("metrics", "Results", sections.metrics(report)),
        ("choices", "What was chosen when", _choices(arms)),
    ]
    if main.name == "on":
        parts += [
            (
                "knowledge",
                "Knowledge spreading over the swarm",
                '<p class="note">Share of a round’s experiences, of all agents, that had reached '
                "an agent when the next round opened: the agent that knew least, the mean, and the "
                "one that knew most.</p>"
                + _chart("spread-chart", "Share of the last round known: least, mean, most")
                + samples.knowledge_table(main),
            ),
            (
                "use",
                "How choices were made",
                '<p class="note">Share of each round’s choices: a recommendation was applied; '
                "one was withheld at random, to measure what it is worth; or nothing cleared the "
                "gate, so the memory abstained and the agent explored."
                f"</p>{sections.memory(report['memory'])}"
                '<div class="legend" id="use-legend"></div>'
                + _chart("use-chart", "Share of choices applied, withheld, abstained")
                + samples.use_table(main),
            ),
            (
                "patterns",
                "Patterns that mattered most",
                sections.patterns(report.get("patterns", ())),
            ),
        ]
    parts += [
        ("limits", "What risk limits cut", sections.risk_cuts(arms)),
        ("configuration", "Configuration", sections.configuration(report["config"])),
    ]
    return parts


def _chart(name: str, label: str) -> str:
    """Return the place where the script draws a chart: focusable, read with the arrow keys."""
    return (
        f'<div class="chart" id="{name}" tabindex="0" role="application" '
        f'aria-roledescription="chart" aria-label="{text(label)}. Arrow keys move along it." '
        f'aria-describedby="{name}-readout"></div>'
        f'<output class="readout" id="{name}-readout" aria-live="polite"></output>'
    )


def _choices(arms: Sequence[ArmSeries]) -> str:
    """Return the places of the strips, one for each agent, and their tables."""
    shown = arms[0].agents[:AGENTS_SHOWN]
    picks = "".join(
        f'<button type="button" data-arm="{at}" aria-pressed="{"false" if at else "true"}">'
        f"{text(ARM_WORDS.get(arm.name, arm.name).capitalize())}</button>"
        for at, arm in enumerate(arms)
    )
    strips = "".join(
        f"<details{' open' if at < 5 else ''} class=strip data-agent={at}>"
        f"<summary><b>{text(agent_words(agent.agent, agent.kind))}</b></summary>"
        '<div class="legend"></div>'
        f'<div class="cells" tabindex="0" role="application" aria-roledescription="heat strip" '
        f'aria-label="Choices of {text(agent.agent)}, symbols by rounds. '
        f'Arrow keys move from cell to cell."></div>'
        '<output class="readout" aria-live="polite"></output>'
        + f"{samples.choice_tables(arms, at)}</details>"
        for at, agent in enumerate(shown)
    )
    return (
        '<p class="note">Each column is a round, each row a symbol, each colour an approach. '
        "<b>Full</b> cells were recommended by the memory and applied; <b>hollow</b> ones were "
        "explored. Empty cells could not be traded.</p>"
        f'<div class="toggles" id="arm-picks" role="group" aria-label="Arm shown">{picks}</div>'
        f'<div class="legend" id="cell-legend"></div>{strips}'
    )


def _asset(name: str) -> str:
    return (resources.files("swarm_runtime.report") / "assets" / name).read_text(encoding="utf-8")


def _hashes(texts: Sequence[str]) -> str:
    """Return the sources of a content security policy that allow these texts and no others."""
    return " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in texts
    )


def _embedded(data: Mapping[str, Any]) -> str:
    """Return JSON that can't end the element it stands in."""
    plain = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        plain = plain.replace(sign, f"\\u{ord(sign):04x}")
    return plain
