"""The page in a real browser, opened from its file: drawn, silent, reachable by keyboard."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from swarm_runtime.report.page import write_page
from tests.unit.report.fake_runs import SYMBOLS, fake_arm, fake_report

CHROMIUM = Path("/usr/bin/chromium")
EVIL = "<script>document.title='broken'</script>"
SECTIONS = (
    "comparison",
    "equity",
    "drawdown",
    "metrics",
    "choices",
    "knowledge",
    "use",
    "patterns",
    "limits",
    "configuration",
)
CHARTS = ("equity-chart", "drawdown-chart", "spread-chart", "use-chart")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
]


@dataclasses.dataclass(frozen=True)
class Opened:
    """The page, its report, and what the browser had to say about it."""

    page: Page
    report: dict[str, Any]
    messages: list[str]
    requests: list[str]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
            ],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    arms = [fake_arm(name, bars=1_500, symbols=(EVIL, *SYMBOLS[1:])) for name in ("off", "on")]
    report = fake_report(arms)
    path = tmp_path_factory.mktemp("run") / "report.html"
    write_page(path, report, arms)
    return path, report


def open_page(browser: Browser, path: Path, **settings: Any) -> tuple[Page, list[str], list[str]]:
    page = browser.new_context(**settings).new_page()
    messages: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    return page, messages, requests


@pytest.fixture
def opened(browser: Browser, written: tuple[Path, dict[str, Any]]) -> Iterator[Opened]:
    path, report = written
    page, messages, requests = open_page(
        browser, path, viewport={"width": 1280, "height": 900}, color_scheme="light"
    )
    yield Opened(page, report, messages, requests)
    page.context.close()


def painted(page: Page, canvas: str) -> int:
    """Number of different colours in a canvas, which tells whether something was drawn."""
    return page.locator(canvas).evaluate(
        """(canvas) => {
            const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(pixels.data.buffer)).size;
        }"""
    )


def test_it_loads_without_a_message_and_without_the_network(opened: Opened) -> None:
    opened.page.mouse.wheel(0, 20_000)
    opened.page.emulate_media(color_scheme="dark")
    assert opened.messages == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []


def test_the_policy_keeps_the_page_from_the_network(opened: Opened) -> None:
    blocked = opened.page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 'sent', (error) => error.name)"
    )
    assert blocked == "TypeError"
    assert any("Content Security Policy" in message for message in opened.messages)


def test_every_section_has_a_heading_and_something_to_see(opened: Opened) -> None:
    found = opened.page.locator("main > section").evaluate_all("all => all.map((one) => one.id)")
    assert tuple(found) == SECTIONS
    for name in SECTIONS:
        section = opened.page.locator(f"#{name}")
        assert section.locator("h2").inner_text()
        assert len(section.inner_text()) > 20
    for name in CHARTS:
        assert painted(opened.page, f"#{name} canvas") > 5
    strips = opened.page.locator(".strip canvas")
    assert strips.count() == 5
    assert painted(opened.page, ".strip >> nth=0 >> canvas") > 5


def test_the_tables_show_the_figures_of_the_report(opened: Opened) -> None:
    table = opened.page.locator("#metrics table").first
    rows = table.locator("tbody tr").evaluate_all(
        """rows => rows.map((row) => [...row.children].map(
            (cell) => [cell.innerText, cell.dataset.value ?? null]))"""
    )
    headings = table.locator("thead th").all_inner_texts()
    keys = {"Total return": "total_return", "Sharpe": "sharpe", "Max drawdown": "max_drawdown"}
    arms = {"with memory": "on", "without memory": "off"}
    periods = {"Walk-forward": "walk_forward", "Learnt on": "learnt", "Whole run": None}
    assert len(rows) == 6
    for row in rows:
        results = opened.report["arms"][arms[row[1][0]]]["swarm"]
        period = periods[row[0][0]]
        results = results[period] if period else results
        for heading, key in keys.items():
            text, value = row[headings.index(heading)]
            assert float(value) == results[key]
            shown = float(text.replace("−", "-").replace("\u202f%", "").replace("+", ""))
            scale = 1 if key == "sharpe" else 100
            assert shown == pytest.approx(
                scale * results[key], abs=0.051 if scale == 100 else 0.0051
            )


def test_the_curves_end_where_the_tables_say(opened: Opened) -> None:
    told = opened.page.locator("#equity-chart-readout").inner_text()
    for arm, words in (("on", "swarm with memory"), ("off", "swarm without memory")):
        total = 100 * opened.report["arms"][arm]["swarm"]["total_return"]
        assert f"{words} {total:+.1f}\u202f%".replace("-", "−") in told


def test_a_chart_is_read_with_the_keyboard(opened: Opened) -> None:
    chart = opened.page.locator("#equity-chart")
    readout = opened.page.locator("#equity-chart-readout")
    chart.focus()
    last = readout.inner_text()
    opened.page.keyboard.press("ArrowLeft")
    assert readout.inner_text() != last
    opened.page.keyboard.press("Home")
    assert readout.inner_text().startswith(opened.report["data"]["from"])
    opened.page.keyboard.press("End")
    assert readout.inner_text().startswith(opened.report["data"]["to"])


def test_a_strip_is_read_with_the_keyboard(opened: Opened) -> None:
    strip = opened.page.locator(".strip").first
    strip.locator(".cells").focus()
    readout = strip.locator("output.readout")
    opened.page.keyboard.press("Home")
    first = readout.inner_text()
    assert first.startswith(opened.report["data"]["from"])
    assert EVIL in first
    opened.page.keyboard.press("End")
    opened.page.keyboard.press("ArrowDown")
    assert "FB" in readout.inner_text()
    assert strip.locator(".mark").is_visible()


def test_an_applied_choice_is_a_full_cell_and_an_explored_one_a_hollow_one(opened: Opened) -> None:
    centres = opened.page.evaluate(
        """() => {
            const canvas = document.querySelector(".strip canvas");
            const drawn = data.arms[0].choices[0];
            const rounds = data.rounds.length;
            const width = canvas.width / rounds;
            const found = { full: [], hollow: [] };
            for (let round = 0; round < rounds; round += 1) {
                const reason = data.reasons[LETTERS.indexOf(drawn.reason[round])];
                const pixel = canvas.getContext("2d").getImageData((round + 0.5) * width, 8, 1, 1);
                found[reason === "applied" ? "full" : "hollow"].push(pixel.data[3]);
            }
            return found;
        }"""
    )
    assert len(centres["full"]) > 10
    assert len(centres["hollow"]) > 10
    assert min(centres["full"]) == 255
    assert 0 < max(centres["hollow"]) < 100


def test_a_strip_tells_a_cell_that_is_pointed_at(opened: Opened) -> None:
    strip = opened.page.locator(".strip").first
    strip.locator("canvas").hover(position={"x": 4, "y": 4})
    assert "explored" in strip.locator("output.readout").inner_text()


def test_everything_that_can_be_used_is_reached_with_the_tab_key(opened: Opened) -> None:
    reached = set()
    for _ in range(120):
        opened.page.keyboard.press("Tab")
        reached.add(
            opened.page.evaluate(
                """() => {
                    const at = document.activeElement;
                    return at.id || at.className || at.getAttribute("href") || at.tagName;
                }"""
            )
        )
    assert {*CHARTS, "skip", "cells", "scroll", "SUMMARY", "BUTTON", "#equity"} <= reached


def test_a_toggle_hides_its_curve(opened: Opened) -> None:
    button = opened.page.get_by_role("button", name="Swarm without memory", exact=True)
    readout = opened.page.locator("#equity-chart-readout")
    assert button.get_attribute("aria-pressed") == "true"
    button.press("Enter")
    assert button.get_attribute("aria-pressed") == "false"
    assert "swarm without memory" not in readout.inner_text()
    assert "swarm with memory" in readout.inner_text()


def test_the_other_arms_choices_can_be_shown(opened: Opened) -> None:
    cells = opened.page.locator(".strip .cells").first
    assert cells.get_attribute("data-drawn") == "0"
    opened.page.locator("#arm-picks button").nth(1).click()
    assert cells.get_attribute("data-drawn") == "1"


def test_a_name_that_is_markup_stays_text(opened: Opened) -> None:
    assert opened.page.title().startswith("Swarm run ")
    assert opened.page.locator(".names").first.inner_text().startswith(EVIL[:7])
    assert EVIL in opened.page.locator(".facts").first.inner_text()


def test_every_picture_and_region_has_a_name(opened: Opened) -> None:
    nameless = opened.page.evaluate(
        """() => [...document.querySelectorAll("[role], [tabindex], button, section")]
            .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()))
            .map((one) => one.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(
    browser: Browser, written: tuple[Path, dict[str, Any]], scheme: Any
) -> None:
    page, _, _ = open_page(browser, written[0], color_scheme=scheme)
    ratios = page.evaluate(
        """() => {
            const light = (colour) => {
                const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
                    const value = part / 255;
                    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
                });
                return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
            };
            const paper = light(getComputedStyle(document.body).backgroundColor);
            return ["h1", "p.verdict", ".note", "dt", "nav a", "thead th", "td", "summary"].map(
                (selector) => {
                    const ink = light(getComputedStyle(document.querySelector(selector)).color);
                    return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
                });
        }"""
    )
    page.context.close()
    assert min(ratios) >= 4.5


def test_on_a_phone_nothing_runs_over_the_edge(
    browser: Browser, written: tuple[Path, dict[str, Any]]
) -> None:
    page, messages, _ = open_page(
        browser, written[0], viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert painted(page, "#equity-chart canvas") > 5
    assert messages == []
    page.context.close()


@pytest.mark.parametrize("name", ["on", "off"])
def test_a_run_of_one_arm_is_drawn_too(browser: Browser, tmp_path: Path, name: str) -> None:
    arm = fake_arm(name, bars=300)
    write_page(tmp_path / "report.html", fake_report([arm]), [arm])
    page, messages, _ = open_page(browser, tmp_path / "report.html")
    assert messages == []
    assert painted(page, "#equity-chart canvas") > 5
    page.context.close()
