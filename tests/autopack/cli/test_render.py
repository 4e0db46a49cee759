import io
import json
from pathlib import Path

import pytest

from autopack.cli.drain_view import describe_result
from autopack.cli.gc import DurationType
from autopack.cli.render import describe_usage, print_json, print_table, printable, reason_of
from autopack.domain.budget import Usage
from autopack.domain.failure import FailureKind
from autopack.domain.phase import Phase, PhaseSpec, PhaseState
from autopack.domain.run import Waiting
from autopack.domain.session import DrainResult


class Terminal(io.StringIO):
    def isatty(self):
        return True


def phase(state, **fields):
    return Phase(run_id="r", index=0, spec=PhaseSpec(phase_id="a", goal="g"), state=state, **fields)


def test_a_pipe_gets_aligned_columns_and_whole_lines(capsys):
    print_table(("phase", "why"), [("a", "x" * 200), ("long-name", None)])
    assert capsys.readouterr().out == f"phase      why\na          {'x' * 200}\nlong-name\n"


@pytest.mark.parametrize("columns", ["80", "40"])
def test_a_terminal_gets_a_table_no_wider_than_itself(monkeypatch, columns):
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(("phase", "state", "why"), [("a", "FAILED", "word " * 40), ("[red]b[/red]", "COMPLETE", "")])
    text = screen.getvalue()
    assert max(map(len, text.splitlines())) <= int(columns)
    assert "[red]b[/red]" in text
    assert "\x1b" not in text


def test_a_terminal_gets_colours_unless_they_are_not_wanted(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table(("state",), [("FAILED",)])
    assert "\x1b[31mFAILED" in screen.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é", "a\tb\nc é"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("over\rwritten", "over\\x0dwritten"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert printable(text) == shown


def test_json_is_ascii_and_plain(capsys):
    print_json({"é": phase(PhaseState.QUEUED), "p": Path("a/b"), "t": (1, None, True)})
    out = capsys.readouterr().out
    assert out.isascii()
    document = json.loads(out)
    assert document["é"]["state"] == "QUEUED"
    assert (document["p"], document["t"]) == ("a/b", [1, None, True])


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        (Usage(), "0 tokens, nothing spent"),
        (Usage(input_tokens=1500), "1,500 tokens, price unknown"),
        (Usage(output_tokens=2, cost_usd=0.0, is_estimated=True), "2 tokens (estimated), $0.0000"),
    ],
)
def test_an_unknown_price_is_not_free(usage, said):
    assert describe_usage(usage) == said


@pytest.mark.parametrize(
    ("moved", "why"),
    [
        pytest.param(phase(PhaseState.COMPLETE, commit="0123456789abcdef"), "commit 0123456789ab", id="done"),
        pytest.param(
            phase(PhaseState.FAILED, failure_kind=FailureKind.TIMEOUT, failure_message="slow\nvery"),
            "timeout: slow",
            id="failed",
        ),
        pytest.param(phase(PhaseState.QUEUED), "waits for b, c", id="waits"),
        pytest.param(phase(PhaseState.EXECUTING), "", id="under way"),
        pytest.param(
            phase(PhaseState.GATE, awaits_approval=True),
            "awaits approval: autopack approve r/a --why TEXT",
            id="awaits approval",
        ),
    ],
)
def test_the_reason_of_a_phase(moved, why):
    assert reason_of(moved, {"a": Waiting(phase_id="a", needs=("b", "c"))}) == why


def test_a_phase_that_goes_on_later_says_after_what():
    waiting = phase(PhaseState.QUEUED, failure_message="rate limit")
    assert reason_of(waiting, {}) == "goes on after: rate limit"


@pytest.mark.parametrize(
    ("text", "seconds"), [("45s", 45), ("90m", 5400), ("12h", 43_200), ("30d", 2_592_000), ("2w", 1_209_600)]
)
def test_durations(text, seconds):
    assert DurationType().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    ("sandbox", "end"),
    [
        pytest.param("NONE (switched off)", ", without a sandbox", id="none"),
        pytest.param("bwrap 0.11 (net: off)", "", id="a sandbox is no news"),
        pytest.param("", "", id="nothing was started"),
    ],
)
def test_a_drained_phase_says_that_it_had_no_sandbox(sandbox, end):
    result = DrainResult(
        run_id="r",
        phase_id="p",
        phase_index=0,
        attempt=1,
        initial_state=PhaseState.QUEUED,
        final_state=PhaseState.COMPLETE,
        success=True,
        sandbox=sandbox,
        timestamp=1.0,
    )
    assert describe_result(result) == f"r/p COMPLETE 0.0 s, 0 tokens{end}"
