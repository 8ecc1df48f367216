import inspect
import pickle
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from swarm_runtime.config import KINDS
from swarm_runtime.errors import StrategyError
from swarm_runtime.trading.lookahead import check_strategy
from swarm_runtime.trading.registry import StrategySource, load_source, load_strategy
from swarm_runtime.trading.strategies import Strategy, checked_targets
from tests.markets import random_market

GOOD = """
import numpy as np
from swarm_runtime.trading.strategies import Strategy

class Always(Strategy):
    parameters = ({"size": 0.5}, {"size": 1})

    def target_position(self, bars, parameters):
        return np.full(bars.close.shape, parameters["size"])
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_file(text: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def complaint(name: str) -> str:
    with pytest.raises(StrategyError) as caught:
        load_strategy(name)
    text = str(caught.value)
    assert text.startswith(f"strategy {name}: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("kind", KINDS)
def test_a_built_in_is_known_by_its_kind(kind):
    loaded = load_strategy(kind)
    assert loaded.kind == kind
    assert len(loaded.approaches) == len(loaded.strategy.parameters) >= 3
    assert all(approach.startswith(f"{kind}(") for approach in loaded.approaches)


def test_a_users_class_is_known_by_its_file_and_name(write):
    write(GOOD)
    loaded = load_strategy("mine.py:Always")
    assert loaded.kind == "always"
    assert loaded.approaches == ("always(size=0.5)", "always(size=1)")


def test_a_file_with_one_strategy_needs_no_class_name(write):
    write(GOOD)
    assert load_strategy("mine.py").kind == "always"


def test_a_source_that_was_pickled_builds_the_same_where_the_file_is_not(write):
    path = write(GOOD)
    source = load_source("mine.py:Always")
    path.unlink()
    strategy = pickle.loads(pickle.dumps(source)).build()
    bars = random_market(30, 2)
    assert (checked_targets(strategy, bars, strategy.parameters[0]) == 0.5).all()


def test_a_built_in_travels_by_name_alone():
    source = load_source("pairs")
    assert source == StrategySource("pairs", None, None, None)
    assert pickle.loads(pickle.dumps(source)).build().kind == "pairs"


def test_reading_a_file_does_not_run_it(write):
    write("raise RuntimeError('run')")
    assert load_source("mine.py:Always").text == "raise RuntimeError('run')"


def test_the_file_is_read_once_so_a_later_edit_changes_nothing(write):
    write(GOOD)
    source = load_source("mine.py:Always")
    write(GOOD.replace("0.5", "0.25"))
    assert source.build().parameters[0] == {"size": 0.5}


def test_two_files_with_a_class_of_one_name_are_kept_apart(write):
    write(GOOD, "one.py")
    write(GOOD.replace("0.5", "0.25"), "two.py")
    one, two = load_strategy("one.py:Always"), load_strategy("two.py:Always")
    assert one.strategy.parameters[0] == {"size": 0.5}
    assert two.strategy.parameters[0] == {"size": 0.25}


def test_dataclasses_in_a_users_file_work(write):
    write(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Box:\n    value: int\n" + GOOD.strip("\n")
    )
    assert load_strategy("mine.py").kind == "always"


def test_the_example_in_the_documentation_is_a_whole_strategy_in_ten_lines(write):
    example = inspect.getdoc(Strategy).split("::\n")[1].split("\nAttributes")[0]
    text = textwrap.dedent(example).strip()
    assert len([line for line in text.splitlines() if line]) <= 10
    write(text)
    strategy = load_strategy("mine.py:Crossover").strategy
    report = check_strategy(strategy, random_market(300, 2))
    assert report.ok, str(report)
    assert checked_targets(strategy, random_market(300, 2), strategy.parameters[0]).any()


def test_an_unknown_kind_gets_a_hint():
    text = complaint("momentun")
    assert "Did you mean 'momentum'?" in text
    assert "path/to/file.py:ClassName" in text


def test_a_missing_file_is_named_in_full(write):
    path = write(GOOD)
    assert f"there is no file {path.parent / 'absent.py'}" in complaint("absent.py:Always")


def test_a_folder_and_bytes_that_are_no_text_are_refused(write, tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    assert "can't be read" in complaint("folder.py:Always")
    assert "UTF-8" in complaint("bytes.py:Always")


def test_a_missing_class_gets_a_hint_from_the_file(write):
    write(GOOD)
    assert "Did you mean 'Always'?" in complaint("mine.py:Alway")
    assert "name a class" in complaint("mine.py:")


def test_several_strategies_in_a_file_need_a_name(write):
    write(GOOD + "\nclass Never(Always):\n    pass\n")
    text = complaint("mine.py")
    assert "mine.py:Always or mine.py:Never" in text
    assert load_strategy("mine.py:Never").kind == "never"


def test_a_file_without_a_strategy_is_refused(write):
    write("from swarm_runtime.trading.strategies import Momentum\nx = 1\n")
    assert "defines no strategy" in complaint("mine.py:Momentum")


def test_what_is_no_strategy_is_refused(write):
    write(GOOD + "\nclass Other:\n    pass\nvalue = 3\n")
    assert "is not a strategy" in complaint("mine.py:Other")
    assert "is not a strategy" in complaint("mine.py:value")


def test_a_syntax_error_names_its_line(write):
    write("x = 1\n\ndef broken(:\n")
    text = complaint("mine.py:Always")
    assert "mine.py, line 3" in text
    assert "def broken(:" in text


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_package_anywhere", "ModuleNotFoundError"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
    ],
)
def test_an_exception_at_import_names_its_line(write, line, named):
    write(f"x = 1\n{line}\n")
    before = set(sys.modules)
    text = complaint("mine.py:Always")
    assert named in text
    assert "(mine.py, line 2)" in text
    assert not {name for name in set(sys.modules) - before if name.startswith("swarm_strategy")}


def test_null_bytes_are_no_python(write):
    write("x = '\0'\n")
    assert "mine.py" in complaint("mine.py:Always")


def test_a_strategy_without_its_function_is_refused(write):
    write(
        "from swarm_runtime.trading.strategies import Strategy\n"
        "class Empty(Strategy):\n    parameters = ({'a': 1},)\n"
    )
    assert "doesn't define target_position" in complaint("mine.py:Empty")


def test_a_strategy_that_needs_arguments_is_refused(write):
    write(GOOD + "\n    def __init__(self, size):\n        pass\n")
    text = complaint("mine.py:Always")
    assert "TypeError" in text
    assert "size" in text


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("()", "names no candidates"),
        ("None", "names no candidates"),
        ("{'size': 1}", "put it in a tuple: ({'size': 1},)"),
        ("(3,)", "not a mapping"),
        ("({'size': '1'},)", "size = '1' is not a finite number"),
        ("({'size': True},)", "size = True is not a finite number"),
        ("({'size': float('nan')},)", "size = nan is not a finite number"),
        ("({'the size': 1},)", "no identifier"),
        ("({'size': 1}, {'size': 1})", "holds always(size=1) twice"),
    ],
)
def test_parameters_that_make_no_candidates_are_refused(write, given, answer):
    write(GOOD.replace('({"size": 0.5}, {"size": 1})', given))
    assert answer in complaint("mine.py:Always")


def test_parameters_left_out_are_missed(write):
    write(GOOD.replace('parameters = ({"size": 0.5}, {"size": 1})', "pass"))
    assert "names no candidates" in complaint("mine.py:Always")


def test_one_candidate_may_have_no_numbers(write):
    write(GOOD.replace('({"size": 0.5}, {"size": 1})', "({},)"))
    assert load_strategy("mine.py").approaches == ("always()",)


@pytest.mark.parametrize(
    ("kind", "answer"), [("'momentum'", "is a built-in"), ("'My Kind'", "small letters"), ("3", "")]
)
def test_a_kind_must_be_a_name_that_is_not_taken(write, kind, answer):
    write(GOOD.replace("    parameters", f"    kind = {kind}\n    parameters", 1))
    assert f"kind = {kind}" in (text := complaint("mine.py:Always"))
    assert answer in text


def test_a_strategy_derived_from_a_built_in_has_a_kind_of_its_own(write):
    write(
        "from swarm_runtime.trading.strategies import Momentum\n"
        "class FastMomentum(Momentum):\n"
        "    parameters = ({'lookback_bars': 5, 'entry_score': 1.0, 'short_size': 0.0},)\n"
    )
    loaded = load_strategy("mine.py:FastMomentum")
    assert loaded.kind == "fast_momentum"
    bars = random_market(200, 2)
    targets = checked_targets(loaded.strategy, bars, loaded.strategy.parameters[0])
    assert np.unique(targets).tolist() == [0.0, 1.0]
