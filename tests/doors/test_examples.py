"""The examples run as they stand, and learn what they say they learn."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.doors.calls import call

ENDPOINTS = Path(__file__).parents[2] / "examples" / "endpoints.py"


def test_the_endpoints_that_answer_in_time_are_found_and_the_bank_says_why(tmp_path: Path) -> None:
    bank = tmp_path / "endpoints.db"
    done = subprocess.run(
        [sys.executable, ENDPOINTS, bank], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    blind, last = map(int, re.findall(r"(\d+) of", done.stdout))
    assert last > blind + 5
    advice = dict(re.findall(r"^(.*) -> (\w+)$", done.stdout, re.MULTILINE))
    # By day two of them answer a small payload in time.
    assert advice.pop("2 kB at 15:00") in ("near", "far")
    assert advice == {"2 kB at 03:00": "near", "900 kB at 03:00": "bulk", "900 kB at 15:00": "far"}
    assert done.stdout.count("above the benchmark in contexts like this") == 4
    asked = ["recommend", str(bank), "--task-type", "upload", "-c", "kilobytes=900", "-c", "hour=3"]
    told = call("bank", *asked, "--json")
    assert json.loads(told.stdout)["approach"] == "bulk"
    counted = json.loads(call("bank", "stats", str(bank), "--json").stdout)
    assert counted["counts"]["trajectories"] == 300
