"""Programs that are spoken with: nothing blocks, nothing stays."""

import os
import select
import sys

import pytest
from ended import has_ended

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.errors import ProcessError
from autopack.ports import Command

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the guard needs Linux")


@pytest.fixture(
    params=[pytest.param(True, marks=linux_only, id="guarded"), pytest.param(False, id="unguarded")]
)
def processes(request):
    return GuardedProcesses(SystemClock(), max_output_bytes=8_000_000, has_guard=request.param)


def command(folder, *argv):
    return Command(
        argv=argv,
        cwd=folder,
        env={"PATH": os.environ["PATH"]},
        stdout_path=folder / "unused",
        stderr_path=folder / "logs" / "err.txt",
        timeout_seconds=0.0,
    )


def end_of(program):
    """How it ended by itself."""
    while not program.has_ended():
        select.select([], [], [], 0.02)
    return program.stop()


def test_words_go_both_ways_until_stdin_is_closed(processes, tmp_path):
    with processes.converse(command(tmp_path, "cat")) as cat:
        cat.stdin.write(b"one\n")
        assert cat.stdout.read(4) == b"one\n"
        assert not cat.has_ended()
        cat.stdin.close()
        assert cat.stdout.read() == b""
        finished = end_of(cat)
    assert (finished.returncode, finished.timed_out, finished.was_cancelled) == (0, False, False)
    assert not (tmp_path / "unused").exists()


def test_five_megabytes_of_stderr_block_nothing(processes, tmp_path):
    script = "head -c 5000000 /dev/zero >&2; echo done"
    with processes.converse(command(tmp_path, "sh", "-c", script)) as program:
        assert program.stdout.read() == b"done\n"
        assert end_of(program).returncode == 0
    assert (tmp_path / "logs" / "err.txt").stat().st_size == 5_000_000


def test_a_flood_of_stderr_ends_the_program(processes, tmp_path):
    with processes.converse(command(tmp_path, "sh", "-c", "cat /dev/zero >&2")) as program:
        finished = end_of(program)
    assert finished.output_overflow
    assert finished.returncode is None


@pytest.mark.parametrize(("is_cancelled", "name"), [(True, "was_cancelled"), (False, "timed_out")])
def test_a_program_that_still_runs_is_killed(processes, tmp_path, is_cancelled, name):
    with processes.converse(command(tmp_path, "sleep", "300")) as program:
        finished = program.stop(is_cancelled=is_cancelled)
        assert program.stop() is finished
    assert getattr(finished, name)
    assert finished.returncode is None


@linux_only
def test_what_it_detached_goes_with_it(tmp_path):
    script = "setsid sleep 300 & echo $!; exec cat"
    with GuardedProcesses(SystemClock()).converse(command(tmp_path, "sh", "-c", script)) as program:
        pid = int(program.stdout.read(64))
    assert has_ended(pid)


@linux_only
def test_a_program_that_cannot_be_started_is_an_error(tmp_path):
    with GuardedProcesses(SystemClock()).converse(command(tmp_path, "no-such-program")) as program:
        assert program.stdout.read() == b""
        with pytest.raises(ProcessError, match="no-such-program"):
            program.stop()
