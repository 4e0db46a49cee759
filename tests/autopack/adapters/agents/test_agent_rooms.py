"""What an agent's room shows of the machine: what the agent is made of, so that it starts, and no secret beside it."""

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest
from agents import WrittenLedger, fake_spec, seen
from rooms import KINDS, make_sandbox

from autopack.adapters.agents.home import AgentPlace
from autopack.adapters.agents.room import find_program, make_room
from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox.places import SYSTEM, Keep
from autopack.ports import Command

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")
PYTHON = Path(getattr(sys, "_base_executable", sys.executable))
LIBRARY = f"lib/python3.{sys.version_info.minor}"
SHELL_ACT = 'echo started\nfor it in "$@"; do cat "$it"; done\n'
PYTHON_ACT = """
import sys
print("started")
for name in sys.argv[1:]:
    try:
        print(open(name).read())
    except OSError as error:
        print(error)
"""


@dataclass
class Machine:
    """An operator's machine with secrets on it, on which an agent is installed."""

    folder: Path
    path: str = "/bin:/usr/bin"

    @property
    def home(self):
        return self.folder / "home"

    @property
    def root(self):
        return self.home / "src/project"

    @property
    def environ(self):
        return {"HOME": str(self.home), "PATH": self.path}

    @property
    def keep(self):
        return Keep.of(self.environ, self.root, self.root / ".autopack")

    def write(self, name, text="", *, mode=0o644):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def program(self, name, first_line, text=SHELL_ACT):
        return self.write(name, f"{first_line}\n{text}", mode=0o755)

    def secrets(self):
        names = (
            *(
                "home/.ssh/id_ed25519",
                "home/.netrc",
                "home/notes.txt",
                "home/.local/share/opencode/auth.json",
            ),
            *("home/lib/private.txt", "home/src/project/.env", "home/src/project/.autopack/autopack.db"),
            *("home/tools/notes.txt", "home/src/other/.env", "home/work/tool/.env"),
            "elsewhere/file",
        )
        return [self.write(name, "hunter2\n") for name in names]

    def environment(self, name):
        """A virtual environment of an interpreter that lies in the home, with a module in it."""
        folder = self.folder / name
        venv.EnvBuilder(symlinks=True).create(folder)
        self.write(f"{name}/{LIBRARY}/site-packages/agent_parts.py")
        return folder


def shell(machine):
    return machine.program("agents/agent", "#!/bin/sh")


def bash(machine):
    return machine.program("agents/agent", "#! /bin/bash")


def env_python(machine):
    return machine.program("agents/agent", "#!/usr/bin/env -S python3 -I", PYTHON_ACT)


def nothing_named(machine):
    # A shell that is asked to run it does so all the same.
    return machine.program("agents/agent", "#!/bin/sh\n#!")


def in_local(machine):
    machine.write(f"home/.local/{LIBRARY}/site-packages/some.py")
    return machine.program("home/.local/bin/agent", "#!/bin/sh")


def in_local_on_the_path(machine):
    machine.path = f"{machine.home}/.local/bin:{machine.path}"
    return in_local(machine)


def in_local_that_is_an_environment(machine):
    machine.write("home/.local/pyvenv.cfg")
    return in_local(machine)


def in_the_home(machine):
    machine.write(f"home/{LIBRARY}/os.py")
    machine.path = f"{machine.home}/bin:{machine.path}"
    return machine.program("home/bin/agent", "#!/bin/sh")


def right_below_the_home(machine):
    machine.write(f"home/tools/{LIBRARY}/os.py")
    return machine.program("home/tools/bin/agent", "#!/bin/sh")


def of_another_language(machine):
    machine.write("home/work/tool/lib/agent.rb")
    return machine.program(
        "home/work/tool/bin/agent",
        "#!/bin/sh",
        f'. "{machine.folder}/home/work/tool/lib/agent.rb"\n{SHELL_ACT}',
    )


def in_another_checkout(machine):
    machine.write(f"home/src/other/{LIBRARY}/os.py")
    machine.write("home/src/other/.git/HEAD")
    return machine.program("home/src/other/bin/agent", "#!/bin/sh")


def in_the_checkout(machine):
    machine.write("home/src/project/pyvenv.cfg")
    machine.write("home/src/project/.git/HEAD")
    return machine.program("home/src/project/bin/agent", "#!/bin/sh")


def deep_in_the_checkout(machine):
    machine.hidden.insert(0, machine.write("home/src/project/services/api/lib/own.py", "hunter2\n"))
    machine.write(f"home/src/project/services/api/{LIBRARY}/os.py")
    return machine.program("home/src/project/services/api/bin/agent", "#!/bin/sh")


def behind_a_link(machine):
    (machine.folder / "link").symlink_to(machine.home)
    in_the_home(machine)
    return machine.folder / "link/bin/agent"


def of_npm(machine):
    machine.program("home/.nvm/versions/node/v22/bin/node", "#!/bin/sh", 'exec /bin/sh "$@"\n')
    machine.write("home/.nvm/versions/node/v22/lib/node_modules/npm/index.js")
    machine.path = f"{machine.home}/.nvm/versions/node/v22/bin:{machine.path}"
    modules = "home/.local/lib/node_modules"
    machine.write(f"{modules}/parts/index.js", "echo its parts\n")
    starts = f". {machine.folder}/{modules}/parts/index.js || exit\n"
    machine.program(f"{modules}/agent/bin/agent.js", "#!/usr/bin/env node", starts + SHELL_ACT)
    link = machine.home / ".local/bin/agent"
    link.parent.mkdir()
    link.symlink_to("../lib/node_modules/agent/bin/agent.js")
    return link


def of_pipx(machine):
    folder = machine.environment("home/.local/share/pipx/venvs/agent")
    text = f"import agent_parts\n{PYTHON_ACT}"
    program = machine.program("home/.local/share/pipx/venvs/agent/bin/agent", f"#!{folder}/bin/python", text)
    link = machine.home / ".local/bin/agent"
    link.parent.mkdir()
    link.symlink_to(program)
    return link


def of_pip_with_a_long_path(machine):
    folder = machine.environment("home/agents/a very long name")
    launcher = f"""#!/bin/sh
'''exec' "{folder}/bin/python" "$0" "$@"
' '''
import agent_parts
{PYTHON_ACT}"""
    return machine.write("home/agents/a very long name/bin/agent", launcher, mode=0o755)


AGENTS = [
    *(
        shell,
        bash,
        env_python,
        nothing_named,
        in_local,
        in_local_on_the_path,
        in_local_that_is_an_environment,
    ),
    *(
        in_the_home,
        right_below_the_home,
        of_another_language,
        in_another_checkout,
        in_the_checkout,
        deep_in_the_checkout,
        behind_a_link,
    ),
    *(of_npm, of_pipx, of_pip_with_a_long_path),
]


def secrets_beside(machine):
    """Of each installation that the agent is made of; a package of node's is all its own."""
    folders = (machine.agent.parent, machine.agent.resolve().parent, Path(machine.path.partition(":")[0]))
    prefixes = {
        it.parent for it in folders if machine.folder in it.parents and "node_modules" not in it.parts
    }
    return [
        machine.write(str(prefix.relative_to(machine.folder) / name), "hunter2\n")
        for prefix in prefixes
        for name in (".env", "conf/logins.json", "var/notes.txt")
    ]


@pytest.fixture(params=AGENTS, ids=lambda it: it.__name__)
def machine(request, tmp_path):
    made = Machine(tmp_path)
    made.hidden = made.secrets()
    made.agent = request.param(made)
    made.hidden[:0] = secrets_beside(made)
    git = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@localhost")
    made.worktree = made.root / ".autopack/worktrees/slot-0"
    made.worktree.mkdir(parents=True)
    subprocess.run([*git, "init", "-q", "."], cwd=made.worktree, check=True)
    return made


def room_of(machine, *words):
    folder = machine.root / ".autopack/agents/one"
    place = AgentPlace(folder=folder)
    for own in (place.home, place.temporary):
        own.mkdir(parents=True)
    door = Door(socket_path=machine.write("door"))
    return make_room(
        machine.worktree,
        place,
        door,
        find_program(str(machine.agent), machine.path),
        argv=words,
        path=machine.path,
        keep=machine.keep,
    )


@dataclass
class Door:
    """One that nobody knocks at."""

    socket_path: Path
    base_url: str = "http://127.0.0.1:18436"


def is_shown(path, places):
    return any(place in (path, *path.parents) for place in (*places, *map(os.path.realpath, places)))


def test_it_holds_the_agent_and_no_secret(machine):
    words = ("/", str(machine.home), str(machine.root), "/etc", str(machine.folder / "elsewhere/file"))
    shown = room_of(machine, *words).readable
    assert is_shown(machine.agent, shown)
    named_by_the_operator = machine.hidden.pop()
    assert named_by_the_operator in shown
    places = [Path(os.path.realpath(it)) for it in shown]
    assert [it for it in (*machine.hidden, Path("/etc/shadow")) if is_shown(it, (*shown, *places))] == []
    assert [it for it in shown if str(it).startswith(tuple(f"{place}/" for place in SYSTEM))] == []


@pytest.mark.parametrize("is_on_the_path", [False, True], ids=["", "on the PATH"])
@pytest.mark.parametrize("kind", [*KINDS, "none"])
def test_the_agent_starts_and_reads_no_secret(machine, kind, is_on_the_path):
    if is_on_the_path:
        machine.path = f"{machine.agent.parent}:{machine.path}"
    if shutil.which("python3", path=machine.path) is None:
        pytest.skip("the system has no Python")
    sandbox = make_sandbox(kind, machine.root, environ=machine.environ)
    room = room_of(machine)
    command = Command(
        argv=(str(machine.agent), *map(str, machine.hidden), "/etc/shadow"),
        cwd=machine.worktree,
        env={"HOME": str(machine.root / ".autopack/agents/one/home"), "PATH": machine.path},
        stdout_path=machine.folder / "logs/out",
        stderr_path=machine.folder / "logs/err",
        timeout_seconds=30.0,
    )
    GuardedProcesses(SystemClock()).run(sandbox.confine(command, room))
    said = command.stdout_path.read_text()
    assert "started" in said, command.stderr_path.read_text()
    assert said.count("hunter2") == (0 if sandbox.is_confining else len(machine.hidden))
    assert ("root:" in said) is (not sandbox.is_confining and os.getuid() == 0)


@pytest.fixture
def secretive(workshop, tmp_path):
    """An operator who has the same secret in the environment, in the home, in the checkout, and in the state folder."""
    home = tmp_path / "home"
    workshop.environ |= {"HOME": str(home), "SECRET_TOKEN": "hunter2", "OPENAI_API_KEY": "hunter2"}
    workshop.hidden = [
        *(home / ".netrc", home / ".config/agent/auth.json", workshop.project.root / ".env"),
        *(workshop.folder / "autopack.db", workshop.folder / "config.toml"),
    ]
    for path in workshop.hidden:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("hunter2\n")
    (tmp_path / "door").mkdir()
    (tmp_path / "door/socket").touch()
    workshop.meter = WrittenLedger(
        socket_path=tmp_path / "door/socket", base_url="http://127.0.0.1:18437", ledger=(seen(),)
    )
    with subprocess.Popen(["sleep", "300"], env={"SECRET_TOKEN": "hunter2"}) as process:
        workshop.hidden.append(Path(f"/proc/{process.pid}/environ"))
        yield workshop
        process.kill()


@pytest.mark.parametrize("kind", [*KINDS, "none"])
def test_an_agent_that_looks_for_secrets_finds_none(secretive, kind):
    root = secretive.project.root
    secretive.sandbox = make_sandbox(kind, root, environ=secretive.environ)
    answer = secretive.build(fake_spec("look_for_secrets", secretive.environ["HOME"], str(root)))
    assert answer.failure is None
    report = secretive.json("calc/found.json")
    found = set(report["found"])
    assert not found & {"SECRET_TOKEN", "OPENAI_API_KEY"}, "its environment is clean, with walls and without"
    if secretive.sandbox.is_confining:
        assert (found, report["looked_at"] > 0) == (set(), True)
    else:
        assert found >= set(map(str, secretive.hidden))
