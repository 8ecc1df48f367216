"""One thread for the numbers, and no test that is skipped without being seen."""

import os

# Before numpy is imported anywhere: the bits of a sum depend on how many threads share it.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray for all tests that need one; it starts with the first of them."""
    from actors.cluster import connected

    with connected():
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Says last how many tests were skipped; under CI a skipped test fails the run."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", [])) if reporter else 0
    failed = skipped > 0 and os.environ.get("CI") == "true"
    if failed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if reporter and skipped:
        reporter.write_line(
            f"{skipped} skipped" + (": under CI that is a failure" if failed else ""),
            red=failed,
            yellow=not failed,
        )
    return result
