"""Ctrl-C while an agent works: once it is waited for, twice it is gone, paid for as far as it came, and asked again later."""

import signal
import sys
import threading

import pytest
from agents import fake_spec
from leftovers import assert_nothing_is_left
from project import Project, phase
from workers import END_SECONDS, STOPPING, log_of, start, wait_for

from autopack.domain.phase import PhaseState
from autopack.domain.run import Order
from autopack.testing.provider import serve
from autopack.testing.provider_wire import Scripted

# Takes what Autopack gives aider, asks its model twice and edits in between.
HEADLESS = """#!{python}
import json, os, subprocess, urllib.request
def ask():
    body = json.dumps({{"model": "m", "messages": [{{"role": "user", "content": "x"}}]}}).encode()
    headers = {{"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"}}
    url = os.environ["OPENAI_API_BASE"] + "/chat/completions"
    urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers)).read()
subprocess.Popen(["sleep", "300"], start_new_session=True)
ask()
open("calc/made.py", "w").write("MADE = 1\\n")
ask()
"""


class Held:
    """Answers at once, but the second question only when it is let go."""

    def __init__(self):
        self.asked = 0
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, _seen):
        self.asked += 1
        if self.asked == 2:
            self.began.set()
            self.go.wait(END_SECONDS)
        return Scripted(input_tokens=70, output_tokens=7)


@pytest.fixture(params=["acp", "cli"])
def running(request, tmp_path):
    """A run of which the first phase's agent waits for its model, the project, and the model."""
    held = Held()
    project = Project.make(tmp_path / "repo")
    programs = tmp_path / "bin"
    programs.mkdir()
    aider = programs / "aider"
    aider.write_text(HEADLESS.format(python=getattr(sys, "_base_executable", sys.executable)))
    aider.chmod(0o755)
    project.environ["PATH"] = f"{programs}:{project.environ['PATH']}"
    with serve(held) as provider:
        ci = f'[ci]\npython = "{sys.executable}"\ncommand = "true"\n'
        project.configure(f'{ci}\n[providers.scripted]\nbase_url = "{provider.url}/v1"\n')
        query = "provider=scripted"
        project.builder = (
            fake_spec("model", "2", query=f"?{query}")
            if request.param == "acp"
            else f"cli:aider?model=m&{query}"
        )
        project.plan(*(phase(name, paths=("calc/",)) for name in "pq"), order=Order.INDEPENDENT)
        run = start(project, "run", "r")
        try:
            assert held.began.wait(END_SECONDS), log_of(project)
            yield run, project, provider, held
        finally:
            held.go.set()
            run.kill()
            run.wait()


def states(project):
    with project.store() as store:
        return {it.phase_id: it.state for it in store.phases("r")}


def used(project):
    with project.store() as store:
        return store.usage_of("r").total_tokens


def test_one_interrupt_waits_for_the_agent(running):
    run, project, provider, held = running
    run.send_signal(signal.SIGINT)
    wait_for(project, run, STOPPING)
    held.go.set()
    assert run.wait(END_SECONDS) == 130, log_of(project)
    assert states(project) == {"p": PhaseState.COMPLETE, "q": PhaseState.QUEUED}
    assert used(project) == provider.total.total_tokens == 154
    assert_nothing_is_left(project)


def test_two_interrupts_end_the_agent_and_keep_its_bill(running):
    run, project, provider, held = running
    run.send_signal(signal.SIGINT)
    wait_for(project, run, STOPPING)
    run.send_signal(signal.SIGINT)
    assert run.wait(END_SECONDS) == 130, log_of(project)
    assert_nothing_is_left(project)
    stopped = project.phase("p")
    assert (stopped.state, stopped.crashes, stopped.attempts) == (PhaseState.QUEUED, 0, 0)
    # The answer that came, and at most the one that was waited for.
    assert 77 <= used(project) <= 154
    held.go.set()
    # The other would make the same file, and so nothing.
    with project.store() as store:
        store.skip_phase("r", "q", now=9.0)
    start(project, "run", "r").wait(END_SECONDS)
    assert states(project)["p"] is PhaseState.COMPLETE, log_of(project)
    assert provider.total.total_tokens - 77 <= used(project) <= provider.total.total_tokens
    assert list((project.root / ".autopack/agents").iterdir()) == []
