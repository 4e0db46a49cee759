"""`autopack doctor --builder`: one trivial edit through the whole chain."""

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


def test_one_that_does_not_work_says_why_and_keeps_its_logs(autopack, repository):
    code, out, _ = autopack("doctor", "--builder", "command:echo bye > hello.txt")
    assert code == 1
    assert "does not work" in out
    assert "ci" in out
    assert list((repository / ".autopack/doctor").rglob("*.txt"))


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


def configure(repository, upstream):
    path = repository / ".autopack/config.toml"
    path.write_text(f'{path.read_text()}\n[providers.scripted]\nbase_url = "{upstream}/v1"\n')
