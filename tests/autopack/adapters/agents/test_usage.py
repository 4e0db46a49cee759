"""What agents say of their own usage; the shapes are those of the versions that `make test-agents` installs."""

import pytest

from autopack.adapters.agents.usage import acp_usage, cli_usage, text_usage
from autopack.domain.budget import Usage

TURN = {"totalTokens": 15, "inputTokens": 7, "outputTokens": 3, "cachedReadTokens": 4, "cachedWriteTokens": 1}


@pytest.mark.parametrize(
    ("name", "reported", "usage"),
    [
        pytest.param(
            "codex", {"usage": TURN}, Usage(input_tokens=12, output_tokens=3, cached_tokens=4), id="a turn"
        ),
        pytest.param(
            "claude",
            {
                "usage": TURN,
                "meta": {
                    "quota": {
                        "model_usage": [
                            {
                                "model": "a",
                                "token_count": {"inputTokens": 5, "cachedInputTokens": 2, "outputTokens": 1},
                            },
                            {
                                "model": "b",
                                "token_count": {"inputTokens": 1, "cachedInputTokens": 0, "outputTokens": 1},
                            },
                        ]
                    }
                },
            },
            Usage(input_tokens=8, output_tokens=2, cached_tokens=2),
            id="all models, side calls included",
        ),
        pytest.param(
            "gemini",
            {"meta": {"quota": {"token_count": {"input_tokens": 9, "output_tokens": 2}}}},
            Usage(input_tokens=9, output_tokens=2),
            id="a quota",
        ),
        pytest.param(
            "qwen",
            {"chunks": [{"inputTokens": 4, "outputTokens": 1}, {"inputTokens": 5, "outputTokens": 2}]},
            Usage(input_tokens=9, output_tokens=3),
            id="one by one",
        ),
        pytest.param("claude", {}, None, id="nothing"),
        pytest.param("anything", {"usage": {"used": 4}}, None, id="something else"),
        pytest.param(
            "gemini", {"meta": {"quota": {"token_count": None}}}, None, id="nothing where there should be"
        ),
    ],
)
def test_over_acp(name, reported, usage):
    assert acp_usage(name, reported) == usage


@pytest.mark.parametrize(
    ("name", "lines", "usage"),
    [
        pytest.param(
            "codex",
            [
                {
                    "type": "turn.completed",
                    "usage": {"input_tokens": 9, "cached_input_tokens": 4, "output_tokens": 2},
                }
            ],
            Usage(input_tokens=9, output_tokens=2, cached_tokens=4),
            id="codex",
        ),
        pytest.param(
            "claude",
            [
                {"type": "system"},
                {
                    "type": "result",
                    "modelUsage": {
                        "m": {
                            "inputTokens": 3,
                            "outputTokens": 2,
                            "cacheReadInputTokens": 4,
                            "cacheCreationInputTokens": 1,
                            "costUSD": 0.5,
                        }
                    },
                },
            ],
            Usage(input_tokens=8, output_tokens=2, cached_tokens=4, cost_usd=0.5),
            id="claude",
        ),
        pytest.param(
            "opencode",
            [
                {
                    "type": "step_finish",
                    "part": {"tokens": {"input": 3, "output": 2, "cache": {"read": 1, "write": 0}}},
                },
                {
                    "type": "step_finish",
                    "part": {"tokens": {"input": 4, "output": 2, "cache": {"read": 0, "write": 0}}},
                },
            ],
            Usage(input_tokens=8, output_tokens=4, cached_tokens=1),
            id="opencode",
        ),
        pytest.param(
            "gemini",
            [{"stats": {"models": {"m": {"tokens": {"prompt": 9, "candidates": 2, "cached": 3}}}}}],
            Usage(input_tokens=9, output_tokens=2, cached_tokens=3),
            id="gemini",
        ),
        pytest.param(
            "qwen",
            [[{"type": "system"}, {"type": "result", "usage": {"input_tokens": 9, "output_tokens": 2}}]],
            Usage(input_tokens=9, output_tokens=2),
            id="qwen",
        ),
        pytest.param(
            "pi",
            [
                {"type": "message_end", "message": {"role": "user", "content": "x"}},
                {"type": "message_end", "message": {"usage": {"input": 3, "output": 2, "cacheRead": 4}}},
                {"type": "message_end", "message": {"usage": {"input": 5, "output": 1, "cacheWrite": 1}}},
            ],
            Usage(input_tokens=13, output_tokens=3, cached_tokens=4),
            id="pi",
        ),
        pytest.param("vibe", [[{"role": "assistant", "content": "x"}]], None, id="vibe tells none"),
        pytest.param("mini", [{"exit_status": "Submitted"}], None, id="mini tells none"),
        pytest.param("copilot", [{"type": "result", "tokens": 3}], None, id="one that does not tell"),
        pytest.param("codex", ["noise", 3, None, []], None, id="noise"),
    ],
)
def test_headless(name, lines, usage):
    assert cli_usage(name, {"lines": lines}) == usage


def test_words_of_aider_are_rounded_and_marked_so():
    text = "Tokens: 2.7k sent, 10 received.\nTokens: 300 sent, 5 received. Cost: $0.00"
    assert text_usage("aider", text) == Usage(input_tokens=3000, output_tokens=15, is_estimated=True)
    assert text_usage("codex", text) is None
