"""`autopack doctor --builder`: one trivial edit through the whole chain."""

import sys

import pytest
from agents import fake_spec

from autopack.testing.provider import serve
from autopack.testing.provider_wire import Scripted


@pytest.fixture
def repository(root, autopack):
    assert autopack("init")[0] == 0
    return root


def test_a_builder_that_works_is_said_to_work(autopack_json, repository):
    code, trial = autopack_json("doctor", "--builder", "command:echo hello > hello.txt")
    assert (code, trial["is_ok"], trial["failure"]) == (0, True, None)
    names = [step["name"] for step in trial["steps"]]
    assert names[-1] == "commit"
    assert {"builder", "meter", "scope", "ci"} <= set(names)
    assert list((repository / ".autopack").glob("doctor-*")) == []


def test_a_trial_without_a_sandbox_says_so_for_a_builder_of_any_kind(autopack_json, repository):
    path = repository / ".autopack/config.toml"
    path.write_text(path.read_text().replace("[sandbox]\n", '[sandbox]\nmode = "off"\n'))
    _, trial = autopack_json("doctor", "--builder", "command:echo hello > hello.txt")
    (step,) = [step for step in trial["steps"] if step["name"] == "sandbox"]
    assert not step["is_ok"]
    assert step["message"].startswith("NONE")
    assert any("with your rights" in advice for advice in trial["advice"])


def test_an_agent_is_measured_and_what_it_costs_is_advised(autopack, repository):
    with serve(Scripted(input_tokens=900, output_tokens=100)) as provider:
        configure(repository, provider.url)
        spec = fake_spec("model_then", "hello.txt", "hello\n", query="?provider=scripted")
        code, out, err = autopack("doctor", "--builder", spec)
    assert (code, err) == (0, "")
    assert "900 tokens in, 100 out" in out
    assert "price unknown" in out
    assert "on no account" in out
    assert "budget_tokens of 4,000 or more" in out


HELLO = "FILE hello.txt\n````\nhello\n````\n"

# Takes what Autopack gives aider, asks its model once and does as it is told.
AIDER = """#!{python}
import json, os, urllib.request
body = json.dumps({{"model": "m", "messages": [{{"role": "user", "content": "x"}}]}}).encode()
headers = {{"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}}
url = os.environ["OPENAI_API_BASE"] + "/chat/completions"
urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)).read()
open("hello.txt", "w").write("hello\\n")
"""
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def aider(tmp_path, monkeypatch):
    """A program of this name on the PATH."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "aider"
    program.write_text(AIDER.format(python=getattr(sys, "_base_executable", sys.executable)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")


@pytest.fixture
def no_keys(monkeypatch):
    """Whoever runs the tests may have keys of their own."""
    for name in ("ANTHROPIC", "OPENAI"):
        monkeypatch.delenv(f"{name}_API_KEY", raising=False)
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)


AGENT = "cli:aider?model=scripted-1&provider=scripted"


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        pytest.param("anthropic:scripted-1", "anthropic", id="anthropic"),
        pytest.param("openai:scripted-1", "openai", id="openai"),
        pytest.param(AGENT, "scripted", id="headless agent"),
    ],
)
def test_whoever_asks_a_model_works_and_is_measured(autopack_json, repository, aider, spec, name):
    with serve(Scripted(text=HELLO, input_tokens=900, output_tokens=100)) as provider:
        configure(repository, provider.url, name)
        code, trial = autopack_json("doctor", "--builder", spec)
    assert (code, trial["failure"]) == (0, None)
    assert {step["name"]: step["message"] for step in trial["steps"]}["meter"] == "900 tokens in, 100 out"
    assert len(provider.seen) == 1


def test_stored_answers_work_and_cost_nothing(autopack_json, repository):
    (repository / "answers").mkdir()
    code, trial = autopack_json("doctor", "--builder", "replay:answers")
    assert (code, trial["failure"], trial["usage"]["input_tokens"]) == (0, None, 0)


@pytest.mark.parametrize(
    ("answer", "said", "to_set"),
    [
        pytest.param(Scripted(status=401, error="bad key"), "bad key", "key_env", id="wrong key"),
        pytest.param(
            Scripted(status=404, error="no such model"),
            "no such model",
            "model's name",
            id="model",
        ),
        pytest.param(None, "could not be heard", "base_url", id="nobody there"),
    ],
)
def test_a_provider_that_refuses_is_told_with_what_to_set(autopack_json, repository, answer, said, to_set):
    with serve(answer or Scripted()) as provider:
        configure(repository, provider.url if answer else NOBODY)
        code, trial = autopack_json("doctor", "--builder", "scripted:scripted-1")
    assert (code, trial["failure"]["kind"]) == (1, "builder_error")
    assert failing(trial) == ["builder"]
    assert said in trial["failure"]["message"]
    assert any(to_set in line for line in trial["advice"]), trial["advice"]


@pytest.mark.parametrize(
    ("spec", "to_set"),
    [
        pytest.param("openai:m", "OPENAI_API_KEY", id="no key"),
        pytest.param("anthropic:m", "ANTHROPIC_API_KEY", id="no key of the other"),
        pytest.param("anthropic:", "anthropic:MODEL", id="no model"),
        pytest.param("nearby:m", "Known kinds: replay:DIR", id="no such provider"),
        pytest.param(
            "cli:aider?model=m&provider=nearby", "base_url in [providers.nearby]", id="agent's provider"
        ),
        pytest.param("cli:aider", "?model=MODEL", id="agent's model"),
        pytest.param("replay:nowhere", "<run>/<phase>.patch", id="no folder"),
        pytest.param("acp:no-such-agent", "PATH", id="agent that is not installed"),
    ],
)
def test_what_cannot_be_asked_at_all_is_told_with_what_to_set(
    autopack, repository, aider, no_keys, spec, to_set
):
    code, out, err = autopack("doctor", "--builder", spec)
    assert (code, out) == (1, "")
    assert to_set in err
    assert list((repository / ".autopack").glob("doctor-*")) == []


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [
        pytest.param("openai:m", "openai", "autopack[openai]", id="openai"),
        pytest.param("anthropic:m", "anthropic", "autopack[anthropic]", id="anthropic"),
        pytest.param("acp:true", "acp", "autopack[agents]", id="agent"),
        pytest.param(AGENT, "aiohttp", "autopack[agents]", id="headless agent"),
    ],
)
def test_a_package_that_is_missing_is_told_with_the_extra(
    autopack, repository, aider, monkeypatch, spec, package, extra
):
    # As Python itself has it for a package that is not there.
    monkeypatch.setitem(sys.modules, package, None)
    code, _, err = autopack("doctor", "--builder", spec)
    assert code == 1
    assert f"pip install '{extra}'" in err


def test_one_that_does_not_work_says_why_and_keeps_its_logs(autopack_json, autopack, repository):
    code, trial = autopack_json("doctor", "--builder", "command:echo bye > hello.txt")
    assert (code, trial["is_ok"]) == (1, False)
    assert failing(trial)[-1] == "ci"
    assert list((repository / ".autopack/doctor").rglob("*.txt"))


def failing(trial):
    """The steps that stopped it: not what is only to be looked at."""
    return [
        step["name"]
        for step in trial["steps"]
        if not step["is_ok"] and step["name"] not in {"sandbox", "meter"}
    ]


def test_the_logs_of_a_run_of_the_same_name_stay(autopack, repository):
    kept = repository / ".autopack/logs/doctor/hello/1/builder/stderr.txt"
    kept.parent.mkdir(parents=True)
    kept.write_text("of a run")
    assert autopack("doctor", "--builder", "command:false")[0] == 1
    assert kept.read_text() == "of a run"
    assert list((repository / ".autopack/logs").rglob("*.txt")) == [kept]


def test_one_that_cannot_be_made_is_an_error_with_a_hint(autopack, repository):
    code, _, err = autopack("doctor", "--builder", "acp:opencode")
    assert code == 1
    assert "model=MODEL" in err


def configure(repository, upstream, name="scripted"):
    path = repository / ".autopack/config.toml"
    path.write_text(f'{path.read_text()}\n[providers.{name}]\nbase_url = "{upstream}/v1"\n')
