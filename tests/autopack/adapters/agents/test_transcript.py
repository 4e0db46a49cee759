"""What is written of what an agent says, however it comes."""

import tracemalloc

import pytest

from autopack.adapters.agents.acp_session import _MOST_CHUNKS, _Heard
from autopack.adapters.agents.transcript import Transcript

KEY = "sk-" + "a" * 40


@pytest.fixture
def written(tmp_path):
    """What becomes of pieces that an agent says."""

    def write(*pieces):
        path = tmp_path / "transcript.txt"
        with Transcript(path, lambda: 1.0) as transcript:
            for piece in pieces:
                transcript.say("agent", piece)
        return [line.partition("agent: ")[2] for line in path.read_text().splitlines()]

    return write


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        pytest.param(["one\ntwo"], ["one", "two"], id="lines in one piece"),
        pytest.param(["o", "n", "e\n", "\nt", "wo\n"], ["one", "", "two"], id="pieces of lines"),
        pytest.param([f"my key: {KEY[:20]}", KEY[20:]], ["my key: ***"], id="a secret in two pieces"),
        pytest.param(["x" * 1500] * 2, ["x" * 2000 + " … (3000 characters)"], id="a long line"),
        pytest.param(
            ["x" * 1990 + " ", KEY], ["x" * 1990 + " ***"], id="a secret where the line would be cut"
        ),
        pytest.param(["x" * 9000] * 9, ["x" * 2000 + " … (81000 characters)"], id="longer than is held"),
    ],
)
def test_lines_are_written_whole_masked_and_cut(written, pieces, lines):
    assert written(*pieces) == lines


def test_a_line_without_an_end_takes_no_room(written):
    tracemalloc.start()
    try:
        written(*["y" * 10_000] * 2000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2_000_000


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (_MOST_CHUNKS, _MOST_CHUNKS), (_MOST_CHUNKS + 1, None)])
def test_reports_of_usage_are_kept_while_they_can_be_summed(count, kept):
    heard = _Heard()
    for _ in range(count):
        heard.note({"sessionUpdate": "agent_message_chunk", "_meta": {"usage": {"promptTokenCount": 1}}})
    chunks = heard.reported().get("chunks")
    assert (len(chunks) if chunks else None) == kept
