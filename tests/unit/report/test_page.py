"""The page's text: complete without the script, closed to the network, safe against names."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from swarm_runtime.report.page import render_page, write_page
from swarm_runtime.report.series import ArmSeries
from tests.unit.report.fake_runs import fake_arm, fake_report

EVIL = "<script>alert(1)</script>&\"'"


def rename(arm: ArmSeries, name: str) -> ArmSeries:
    agents = tuple(
        dataclasses.replace(
            agent,
            agent=name,
            kind=name,
            symbols=(name, *agent.symbols[1:]),
            candidates=tuple(f"{name}{at}" for at in range(len(agent.candidates))),
            risk_cuts=(name,),
        )
        for agent in arm.agents
    )
    return dataclasses.replace(arm, agents=agents)


@pytest.fixture(scope="module")
def arms() -> list[ArmSeries]:
    return [fake_arm("off", bars=700), fake_arm("on", bars=700)]


@pytest.fixture(scope="module")
def page(arms: list[ArmSeries]) -> str:
    return render_page(fake_report(arms), arms)


class Outline(HTMLParser):
    """Collects tags and attributes, and checks that elements are closed in order."""

    VOID = frozenset({"meta", "link", "br", "hr", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    found = Outline()
    found.feed(page)
    assert found.open == []
    return found


def test_the_page_names_nothing_outside_itself(page: str) -> None:
    for tag, attributes in outline(page).tags:
        for name in ("src", "href", "action", "data", "srcset"):
            target = attributes.get(name)
            assert target is None or target == "data:," or target.startswith("#"), (tag, target)
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)


def test_the_policy_allows_the_pages_own_scripts_and_styles_and_nothing_else(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    pieces = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", page, flags=re.DOTALL)
    assert len(pieces) == 5
    for piece in pieces:
        name = base64.b64encode(hashlib.sha256(piece.encode()).digest()).decode()
        assert f"'sha256-{name}'" in policy[1]


def test_the_licence_of_the_chart_library_travels_with_it(page: str) -> None:
    assert "Copyright (c) 2022 Leon Sorokin" in page
    assert "THE SOFTWARE IS PROVIDED" in page


def test_every_link_of_the_navigation_leads_to_a_section(page: str) -> None:
    tags = outline(page).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [a["href"] for tag, a in tags if tag == "a" and a.get("href")]
    assert len(links) >= 10
    assert {link[1:] for link in links if link} <= set(ids)


def test_names_given_by_users_stay_text(arms: list[ArmSeries]) -> None:
    evil = [rename(arm, EVIL) for arm in arms]
    report = fake_report(evil, run_id=EVIL, digest=EVIL)
    report["data"] = {**report["data"], "symbols": [EVIL], "source": EVIL}
    report["config"] = {**report["config"], EVIL: {EVIL: [EVIL]}}
    report["comparison"] = {**report["comparison"], "sentence": f"x: {EVIL}"}
    report["patterns"] = [
        {
            **pattern,
            "sentence": EVIL,
            "evidence": EVIL,
            "approach": EVIL,
            "context_words": {EVIL: EVIL},
        }
        for pattern in report["patterns"]
    ]
    page = render_page(report, evil)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert len([tag for tag, _ in outline(page).tags if tag == "script"]) == 4


def test_the_data_are_json_in_which_no_element_can_end(page: str) -> None:
    data = re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert data is not None
    assert not re.search("[<>&]", data[1])
    assert len(json.loads(data[1])["arms"]) == 2


def test_every_figure_of_the_report_stands_in_a_table(page: str, arms: list[ArmSeries]) -> None:
    values = {a["data-value"] for _, a in outline(page).tags if "data-value" in a}
    report = fake_report(arms)
    for arm in report["arms"].values():
        for results in (*arm["agents"], arm["swarm"]):
            for part in (results, results["learnt"], results["walk_forward"]):
                for key in ("trades", "total_return", "sharpe", "max_drawdown", "costs_usd"):
                    assert str(part[key]) in values, key
    assert str(report["comparison"]["difference"]) in values


@pytest.mark.parametrize("name", ["on", "off"])
def test_a_run_of_one_arm_has_a_page_without_a_comparison(name: str) -> None:
    arm = fake_arm(name, bars=300)
    page = render_page(fake_report([arm]), [arm])
    assert 'id="comparison"' not in page
    assert ('id="patterns"' in page) == (name == "on")
    assert "nothing to compare" in page


def test_a_comparison_without_an_interval_can_be_shown(arms: list[ArmSeries]) -> None:
    report = fake_report(arms)
    report["comparison"] = {
        **report["comparison"],
        "interval": None,
        "gross_interval": None,
        "cost_interval": None,
        "smallest_effect": None,
        "sharpe_difference": None,
        "verdict": "no effect shown",
    }
    assert "No effect of memory shown" in render_page(report, arms)
    report["comparison"].update(difference=0.0, gross_difference=0.0, cost_difference=0.0)
    assert "No effect of memory shown" in render_page(report, arms)


def test_a_run_without_patterns_says_so(arms: list[ArmSeries]) -> None:
    assert "No pattern was applied" in render_page(fake_report(arms, patterns=[]), arms)


def test_fifty_agents_over_eight_thousand_bars_fit_in_three_megabytes(tmp_path: Path) -> None:
    arms = [fake_arm(name, agents=50, bars=8_000) for name in ("off", "on")]
    report: dict[str, Any] = fake_report(arms)
    write_page(tmp_path / "report.html", report, arms)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000


def test_the_page_is_the_same_every_time(page: str, arms: list[ArmSeries]) -> None:
    assert render_page(fake_report(arms), arms[::-1]) == page
