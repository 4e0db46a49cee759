"""The durable queue by itself: what is asked for is performed once, as often as it is served."""

import io
import logging
import sqlite3
import sys
from contextlib import closing

import psycopg
import pytest

from autopack.adapters import engine as engines
from autopack.adapters.clock import SystemClock
from autopack.domain.attempt import AttemptAddress
from autopack.ports import EngineLimits

LIMITS = EngineLimits(slots=2, poll_seconds=0.05)
PLACES = [AttemptAddress(run_id="r", phase_id=name, number=1) for name in "ab"]


@pytest.fixture
def serve(store_url, tmp_path):
    """Serves attempts until all are performed; those that were, in their order."""

    def run(wanted):
        performed = []
        asked = []

        def tick():
            if not asked:
                asked.extend(wanted)
                for address in (*wanted, *wanted):
                    queue.submit(address, priority=1)
            return len(performed) >= len(wanted)

        with engines.connected(store_url) as connections:
            queue = engines.DbosEngine(
                engine=connections,
                lock_folder=tmp_path / "locks",
                perform=performed.append,
                clock=SystemClock(),
            )
            queue.serve(LIMITS, tick=tick)
        return performed

    return run


def test_what_is_asked_for_twice_is_performed_once(serve):
    assert sorted(map(str, serve(PLACES))) == sorted(map(str, PLACES))


def test_it_outlives_the_console_of_its_first_start(serve, monkeypatch):
    # As at the first start in a process.
    monkeypatch.setattr(logging.getLogger("dbos"), "handlers", [])
    with closing(io.StringIO()) as console, monkeypatch.context() as first:
        first.setattr(sys, "stderr", console)
        assert serve(PLACES[:1]) == PLACES[:1]
    assert serve(PLACES[1:]) == PLACES[1:]


def test_a_connection_that_a_late_thread_gives_back_is_closed(store_url):
    with engines.connected(store_url) as connections:
        late = connections.connect()
        opened = late.connection.dbapi_connection
    late.close()
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        opened.execute("SELECT 1")
