"""Settings: where they come from, and what is said when they are wrong."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from swarm_runtime.config import PRESETS, Settings, load
from swarm_runtime.errors import (
    ConfigError,
    DataError,
    DegradedError,
    RunFolderError,
    RunInterruptedError,
    StoreError,
    StrategyError,
    SwarmError,
    did_you_mean,
)

NOTHING: dict[str, str] = {}


def test_without_anything_given_the_defaults_hold() -> None:
    assert load(environment=NOTHING) == Settings()


def test_later_sources_win_preset_file_environment_arguments(tmp_path: Path) -> None:
    file = tmp_path / "swarm.toml"
    file.write_text("seed = 2\n[swarm]\nagents = 7\n[memory]\nlearning_rate = 0.3\n")
    environment = {"SWARM_SEED": "ignored: no section", "SWARM_SWARM__AGENTS": "8"}
    settings = load(file=str(file), preset="development", environment=environment)
    assert settings.swarm.agents == 8
    assert settings.memory.learning_rate == 0.3
    assert settings.memory.confidence_threshold == 0.5
    assert settings.seed == 2
    override = {"swarm.agents": 9}
    assert load(file=str(file), environment=environment, overrides=override).swarm.agents == 9


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid(preset: str) -> None:
    assert load(preset=preset, environment=NOTHING).swarm.agents in (3, 10, 50)


def test_yaml_says_the_same_as_toml(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('[data]\nsymbols = ["AAPL"]\nstart = 2001-02-03\n')
    (tmp_path / "a.yaml").write_text("data:\n  symbols: [AAPL]\n  start: 2001-02-03\n")
    assert load(file=str(tmp_path / "a.toml"), environment=NOTHING) == load(
        file=str(tmp_path / "a.yaml"), environment=NOTHING
    )


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"swarm.agent": 3}, "swarm.agent = 3: no such setting. Did you mean 'agents'?"),
        ({"swarn.agents": 3}, "Did you mean 'swarm'?"),
        ({"swarm.agents": 0}, "swarm.agents = 0: input should be greater than or equal to 1"),
        ({"swarm.topology": "mesch"}, "Did you mean 'mesh'? Allowed: mesh, star."),
        ({"trading.costs.fee_bps": "cheap"}, "trading.costs.fee_bps = 'cheap'"),
        ({"trading.costs.fee_bps": float("nan")}, "trading.costs.fee_bps"),
        ({"data.start": "yesterday"}, "data.start = 'yesterday'"),
        ({"memory": 3}, "memory = 3"),
        ({"memory": 3, "memory.mode": "on"}, "memory is a value, not a section"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(
    overrides: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(overrides=overrides, environment=NOTHING)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'production'\?"):
        load(preset="prodution", environment=NOTHING)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "seed = = 3", "can't be parsed"),
        ("a.yaml", "seed: [3", "can't be parsed"),
        ("a.yaml", "- 3", "must hold sections"),
        ("a.ini", "seed=3", "must end in .toml, .yaml or .yml"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file=str(tmp_path / name), environment=NOTHING)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_said_to_be_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(file=str(tmp_path / "none.toml"), environment=NOTHING)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("a.b", 3, "no"),
        DataError("file.csv", "NaN", 7),
        DegradedError("three hosts"),
        RunFolderError("runs/x", "no"),
        RunInterruptedError("runs/x"),
        StoreError("bank", "cut off"),
        StrategyError("momentum", "raises"),
    ],
)
def test_every_error_survives_pickling(error: SwarmError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.exit_code == error.exit_code


def test_no_hint_is_given_where_nothing_is_near() -> None:
    assert did_you_mean("zzz", ["mesh", "star"]) == " Allowed: mesh, star."
    assert did_you_mean("zzz", []) == ""
