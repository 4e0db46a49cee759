"""A small coding agent that speaks ACP and does what its first argument says; needs nothing but Python.

Run as a program. It can do everything that agents were seen to do wrong.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

PROTOCOL_VERSION = 1
SESSION = "s1"


class Agent:
    """Reads requests from stdin and answers them on stdout."""

    def __init__(self, act, arguments):
        self.act = act
        self.arguments = arguments
        self.cwd = ""
        self.prompt = ""
        self.prompt_id = 0
        self.modes = []
        self.numbers = iter(range(1000, 2000))
        self.is_cancelled = False

    def send(self, **message):
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()

    def update(self, what, **fields):
        update = {"sessionUpdate": what, **fields}
        self.send(method="session/update", params={"sessionId": SESSION, "update": update})

    def say(self, text):
        self.update("agent_message_chunk", content={"type": "text", "text": text})

    def ask(self, method, **params):
        """What the client answers to a request of ours, with its error in its place."""
        number = next(self.numbers)
        self.send(id=number, method=method, params={"sessionId": SESSION, **params})
        while (message := self.receive()) is not None:
            if message.get("id") == number and "method" not in message:
                return message.get("result", message.get("error"))
            self.handle(message)
        sys.exit(0)

    def receive(self):
        line = sys.stdin.readline()
        return json.loads(line) if line else None

    def run(self):
        while (message := self.receive()) is not None:
            self.handle(message)

    def handle(self, message):
        method, number, params = message.get("method"), message.get("id"), message.get("params")
        if method == "session/cancel":
            self.is_cancelled = True
        elif method == "initialize":
            self.send(id=number, result=self.beginning())
        elif method == "session/new":
            self.cwd = params["cwd"]
            modes = [{"id": name, "name": name} for name in ("ask", "agent")]
            result = {"sessionId": SESSION, "modes": {"currentModeId": "ask", "availableModes": modes}}
            self.send(id=number, result=result)
        elif method == "session/prompt":
            self.prompt = "".join(block.get("text", "") for block in params["prompt"])
            self.prompt_id = number
            answer = self.act(self, *self.arguments) or {}
            is_error = "error" in answer
            self.send(id=number, **(answer if is_error else {"result": {"stopReason": "end_turn", **answer}}))
        elif number is not None:
            self.modes.append(params)
            self.send(id=number, result={})

    def beginning(self):
        return {
            "protocolVersion": PROTOCOL_VERSION,
            "agentCapabilities": {},
            "agentInfo": {"name": "fake", "version": "1"},
        }

    def path(self, name):
        return os.path.join(self.cwd, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)


def edit(agent, name="calc/made.py", text="MADE = 1\n"):
    agent.say(f"I write {name}.\nDone, and my key is sk-{'a' * 30}.")
    agent.update("tool_call", toolCallId="t", title=f"Write {name}", kind="edit", status="completed")
    agent.update("an_update_of_next_year", surprise=True)
    agent.write(name, text)


def read_and_write(agent, source, target):
    """Copy a file through the client; what the client said is kept in the worktree."""
    said = agent.ask("fs/read_text_file", path=agent.path(source))
    wrote = agent.ask("fs/write_text_file", path=agent.path(target), content=said.get("content", "refused"))
    agent.write("calc/said.json", json.dumps([said, wrote]))


def permission(agent, kind, path):
    options = [
        {"optionId": "no", "name": "No", "kind": "reject_once"},
        {"optionId": "sure", "name": "Yes, always", "kind": "allow_always"},
        {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    ]
    call = {"toolCallId": "t", "title": "Do it", "kind": kind, "locations": [{"path": path}]}
    said = agent.ask("session/request_permission", toolCall=call, options=options)
    agent.write("calc/said.json", json.dumps(said))


def terminal(agent):
    agent.write("calc/said.json", json.dumps(agent.ask("terminal/create", command="id")))


def idle(agent):
    agent.say("All done!")


def fail(agent):
    return {"error": {"code": -32603, "message": "Internal error", "data": "the model is on holiday"}}


def edit_then_fail(agent):
    edit(agent)
    return fail(agent)


def hang(agent):
    agent.say("Thinking …")
    while agent.receive() is not None:
        if agent.is_cancelled:
            break
    sys.exit(0)


def hang_until_cancelled(agent):
    agent.write("calc/half.py", "HALF = 1\n")
    while not agent.is_cancelled:
        message = agent.receive()
        agent.handle(message)
    return {"stopReason": "cancelled"}


def stubborn(agent):
    """Answer no cancellation, and outlive the end of the input."""
    agent.write("calc/half.py", "HALF = 1\n")
    wait_for_good()


def ignore_eof(agent):
    """End the turn well, but never the program."""
    edit(agent)
    agent.send(id=agent.prompt_id, result={"stopReason": "end_turn"})
    wait_for_good()


def wait_for_good():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reader, _ = os.pipe()
    os.read(reader, 1)


def flood(agent, size="5000000"):
    sys.stderr.write("x" * int(size))
    sys.stderr.flush()
    edit(agent)


def flood_for_good(agent):
    while True:
        sys.stderr.write("x" * 100_000)


def long_line(agent, size="80000000"):
    agent.say("y" * int(size))
    edit(agent)


def junk(agent):
    for line in (
        "Welcome to fake!",
        "[1, 2]",
        "null",
        "{",
        '"text"',
        "{}",
        '{"id": 77, "result": 3}',
        "\x00\xff",
    ):
        sys.stdout.write(line + "\n")
    edit(agent)


def crash(agent):
    agent.write("calc/half.py", "HALF = 1\n")
    os._exit(3)


def swarm(agent):
    """Start more programs than anybody needs, with half a change made."""
    agent.write("calc/half.py", "HALF = 1\n")
    swarm = [subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) for _ in range(8)]
    wait_for_good()
    return swarm


def kill_guard(agent):
    agent.write("calc/half.py", "HALF = 1\n")
    os.kill(os.getppid(), signal.SIGKILL)
    wait_for_good()


def die_at_once(agent):
    raise AssertionError("never called")


def child(agent, name):
    """Leave a process behind that has left our session and group."""
    started = subprocess.Popen(
        ["sleep", "300"], start_new_session=True, stdout=sys.stdout, stderr=subprocess.DEVNULL
    )
    agent.write(name, f"PID = {started.pid}\n")


def hook(agent):
    """Write where only git may: into the repository that the worktree belongs to."""
    with open(agent.path(".git")) as file:
        admin = file.read().removeprefix("gitdir:").strip()
    with open(os.path.join(admin, "commondir")) as file:
        common = os.path.join(admin, file.read().strip())
    os.makedirs(os.path.join(common, "hooks"), exist_ok=True)
    with open(os.path.join(common, "hooks", "pre-commit"), "w") as file:
        file.write("#!/bin/sh\nid > /tmp/owned\n")
    edit(agent)


def report(agent):
    """What it finds around it."""
    edit(agent)
    found = {
        "env": dict(os.environ),
        "home": sorted(os.listdir(os.environ["HOME"])),
        "modes": agent.modes,
        "prompt": agent.prompt,
    }
    agent.write("calc/found.json", json.dumps(found))


def look_for_secrets(agent, *folders):
    """Where it finds the operator's secret: its own environment and home, those of all processes, and these folders."""
    secret = b"hunter" + b"2"
    found = [name for name, text in os.environ.items() if secret.decode() in text]
    places = [f"/proc/{name}/environ" for name in os.listdir("/proc") if name.isdigit()]
    for folder in (os.environ["HOME"], *folders):
        places += [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
    for place in places:
        try:
            with open(place, "rb") as file:
                found += [place] if secret in file.read() else []
        except OSError:
            pass
    agent.write("calc/found.json", json.dumps({"found": found, "looked_at": len(places)}))


def ask_model(agent):
    """Whether a model answered."""
    body = {"model": "scripted-1", "messages": [{"role": "user", "content": agent.prompt}]}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}",
            "Content-Type": "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request) as answer:
            answer.read()
    except (urllib.error.URLError, OSError) as error:
        agent.say(f"The model said {error}.")
        return False
    return True


def model(agent, calls="1"):
    """Ask a model over OpenAI's chat dialect that many times, edit after the first answer, and always end well."""
    for number in range(int(calls)):
        if ask_model(agent) and number == 0:
            edit(agent)
    return {"usage": {"totalTokens": 3, "inputTokens": 1, "outputTokens": 2}}


def model_then(agent, name, text):
    """Ask a model once, then edit."""
    ask_model(agent)
    edit(agent, name, text)


def main():
    name, *arguments = sys.argv[1:]
    if name == "die_at_once":
        sys.exit("cannot load the configuration")
    Agent(globals()[name], arguments).run()


if __name__ == "__main__":
    main()
