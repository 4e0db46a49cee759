"""What a program in a room can and cannot do; each attack succeeds where there is no room, so that each can fail."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from rooms import KINDS, Den, make_sandbox

from autopack.adapters.clock import SystemClock
from autopack.adapters.process import GuardedProcesses
from autopack.adapters.sandbox import attack, bwrap
from autopack.adapters.sandbox.attack import keyrings
from autopack.adapters.sandbox.places import CONFIGURATION
from autopack.errors import ProcessError, RoomError
from autopack.ports import Network, RoomLimits

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")
pytestmark = linux_only
EVERY = [*KINDS, "none"]


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory):
    made = {}

    def sandbox_of(kind: str):
        if kind not in made:
            made[kind] = make_sandbox(kind, tmp_path_factory.mktemp("root"))
        return made[kind]

    return sandbox_of


@pytest.fixture(params=KINDS)
def den(request, sandboxes, tmp_path):
    return Den(tmp_path, sandboxes(request.param))


@pytest.fixture(params=EVERY)
def any_den(request, sandboxes, tmp_path):
    """Of each kind, and one without walls: there the same attack must succeed."""
    return Den(tmp_path, sandboxes(request.param))


class TestPrograms:
    """What is no attack works as it does outside."""

    @pytest.mark.parametrize(
        ("script", "returncode"),
        [
            pytest.param("exit 0", 0, id="success"),
            pytest.param("exit 3", 3, id="a code"),
            pytest.param("exit 139", 139, id="a code that looks like a signal"),
            pytest.param("kill -SEGV $$", -11, id="a crash"),
            pytest.param("kill -9 $$", -9, id="killed"),
        ],
    )
    def test_the_return_code_is_the_programs_own(self, den, script, returncode):
        finished = den.run("sh", "-c", script)
        assert (finished.returncode, finished.timed_out) == (returncode, False)

    def test_the_worktree_can_be_written_and_a_home_and_a_temporary_folder_are_there(self, den):
        script = 'echo x > file && echo y > "$HOME/own" && echo z > "$TMPDIR/own" && cat file "$HOME/own" "$TMPDIR/own"'
        assert den.run("sh", "-c", script).returncode == 0, den.err
        assert den.out == "x\ny\nz\n"
        assert (den.worktree / "file").read_text() == "x\n"
        assert not (Path(den.env["HOME"]) / "own").exists()

    def test_loopback_and_unix_sockets_work_between_the_rooms_own_programs(self, den):
        if "without loopback" in den.sandbox.description:
            pytest.skip("its user may have no network of its own")
        code = """
import socket, threading
for server in (socket.create_server(("127.0.0.1", 0)), socket.create_server("s", family=socket.AF_UNIX)):
    threading.Thread(target=lambda: server.accept()[0].sendall(b"hello"), daemon=True).start()
    client = socket.socket(server.family)
    client.connect(server.getsockname())
    print(client.recv(5))
"""
        assert den.python(code).returncode == 0, den.err
        assert den.out == "b'hello'\nb'hello'\n"

    @pytest.mark.parametrize("relay", [False, True], ids=["", "with a relay"])
    def test_what_cannot_be_started_is_said(self, den, relay):
        more = {"network": Network.RELAY, "relay_socket": den.folder, "relay_port": 18434} if relay else {}
        with pytest.raises(ProcessError, match="no-such-program: No such file"):
            den.run("no-such-program", **more)

    @pytest.mark.parametrize("returncode", [126, 127])
    def test_a_code_that_looks_like_a_rooms_is_the_programs_own(self, den, returncode):
        relay = {"network": Network.RELAY, "relay_socket": den.folder, "relay_port": 18435}
        code = f"import os, sys; print(os.environ.get('AUTOPACK_ENTRANCE'), os.listdir('/proc/self/fd')); sys.exit({returncode})"
        assert den.python(code, **relay).returncode == returncode
        assert den.out == "None ['0', '1', '2', '3']\n"

    def test_a_room_that_cannot_be_furnished_is_no_verdict_on_the_program(self, den):
        note = den.folder / "note"
        note.touch()
        relay = {"network": Network.RELAY, "relay_socket": den.folder, "relay_port": 99_999}
        with pytest.raises(RoomError, match="could not make a room for true: OverflowError"):
            den.run("true", room_note=note, **relay)
        assert not note.exists()

    def test_a_readable_place_can_be_read_and_not_written(self, den):
        place = den.folder / "place"
        place.mkdir()
        (place / "file").write_text("text\n")
        assert (
            den.run("sh", "-c", f"cat {place}/file; echo x > {place}/file", readable=(place,)).returncode != 0
        )
        assert den.out == "text\n"
        assert (place / "file").read_text() == "text\n"

    def test_a_link_to_a_readable_place_is_followed(self, den):
        place, link = den.folder / "place", den.folder / "link"
        place.mkdir()
        link.symlink_to(place)
        (place / "file").write_text("text\n")
        den.run("cat", str(link / "file"), str(place / "file"), readable=(link,))
        assert den.out == "text\ntext\n"

    def test_a_substitute_hides_what_is_there(self, den):
        place, other = den.folder / "place", den.folder / "other"
        place.mkdir()
        other.write_text("harmless\n")
        for name in ("config", "rest"):
            (place / name).write_text(f"{name}\n")
        den.run(
            "cat",
            str(place / "rest"),
            str(place / "config"),
            readable=(place,),
            substitutes={place / "config": other},
        )
        assert den.out.replace("harmless\n", "") == "rest\n"


class TestWalls:
    def test_nothing_is_written_outside(self, any_den):
        outside = any_den.folder / "outside"
        any_den.run("sh", "-c", f'echo x > "{outside}"; mkdir -p "{outside}-folder"')
        assert outside.exists() is not any_den.sandbox.is_confining

    def test_no_secret_is_read(self, any_den):
        secret = any_den.folder / "root" / ".env"
        secret.write_text("PASSWORD=hunter2\n")
        any_den.run("cat", str(secret))
        assert ("hunter2" in any_den.out) is not any_den.sandbox.is_confining

    @pytest.mark.skipif(os.getuid() != 0, reason="only root could read them anyway")
    @pytest.mark.parametrize("name", ["/etc/shadow", "/etc/gshadow"])
    def test_root_in_a_room_reads_no_keys_of_the_machine(self, any_den, name):
        assert (any_den.run("cat", name).returncode != 0) is any_den.sandbox.is_confining

    @pytest.mark.skipif(os.getuid() != 0, reason="only root could write it anyway")
    def test_root_in_a_room_does_not_set_the_kernel(self, any_den):
        code = "open('/proc/sys/kernel/core_pattern', 'r+').close()"
        assert (any_den.python(code).returncode != 0) is any_den.sandbox.is_confining

    def test_of_the_configuration_only_what_is_public_is_read(self, any_den):
        found = next(
            it
            for it in sorted(Path("/etc").iterdir())
            if it.is_file() and it.name not in CONFIGURATION and it.lstat().st_mode & 0o170004 == 0o100004
        )
        assert (any_den.run("cat", str(found)).returncode != 0) is any_den.sandbox.is_confining

    def test_names_are_resolved_where_the_network_is_the_hosts(self, sandboxes, tmp_path, monkeypatch):
        den = Den(tmp_path, sandboxes("bwrap"))
        real, link = tmp_path / "stub-resolv.conf", tmp_path / "resolv.conf"
        real.write_text("nameserver 127.0.0.53\n")
        link.symlink_to(real.name)
        monkeypatch.setattr(bwrap, "RESOLVER", link)
        assert den.run("cat", str(real), network=Network.HOST).returncode == 0
        assert den.run("cat", str(real)).returncode != 0

    def test_the_environment_of_other_processes_is_not_read(self, any_den):
        code = "import sys; print(open(f'/proc/{sys.argv[1]}/environ', 'rb').read())"
        finished = any_den.python(code, str(os.getpid()))
        assert (finished.returncode != 0) is any_den.sandbox.is_confining

    @pytest.mark.parametrize(
        "script",
        [
            pytest.param('ln -s "{outside}" link && echo x >> link', id="a symbolic link"),
            pytest.param('ln "{outside}" link && echo x >> link', id="a hard link"),
            pytest.param('ln -s .. up && echo x >> "up/../../../outside"', id="a link to a folder above"),
            pytest.param('cd /proc/self/root && echo x >> ".{outside}"', id="through /proc"),
        ],
    )
    def test_no_link_leads_out(self, any_den, script):
        outside = any_den.folder / "outside"
        outside.write_text("as it was\n")
        any_den.run("sh", "-c", script.format(outside=outside))
        assert (outside.read_text() == "as it was\n") is any_den.sandbox.is_confining

    def test_nothing_of_the_machine_is_reached(self, any_den):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=2)"
            finished = any_den.python(code, str(listener.getsockname()[1]))
        assert (finished.returncode != 0) is any_den.sandbox.is_confining

    def test_with_the_hosts_network_the_machine_is_reached(self, den):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=2)"
            finished = den.python(code, str(listener.getsockname()[1]), network=Network.HOST)
        assert finished.returncode == 0, den.err

    def test_no_process_outside_is_killed(self, any_den):
        victim = subprocess.Popen(["sleep", "300"])
        try:
            any_den.run("sh", "-c", f"kill -9 {victim.pid}")
            ended = victim.poll()
            if not any_den.sandbox.is_confining:
                ended = victim.wait(5)
        finally:
            victim.kill()
            victim.wait()
        assert (ended is None) is any_den.sandbox.is_confining

    def test_keys_of_the_session_stay_outside(self, any_den):
        ours = keyrings()
        if not ours:
            pytest.skip("this kernel keeps no keys, or lets us have none")
        any_den.python(
            f"{Path(attack.__file__).read_text().partition('if __name__')[0]}\nprint(keyrings()[0])"
        )
        assert (int(any_den.out) == ours[0]) is not any_den.sandbox.is_confining


class TestRelay:
    @staticmethod
    @contextmanager
    def echo_server(path: Path, port: int = 0):
        """Sends what it gets back in capitals, on a Unix socket, or on a port of the machine."""
        family, address = (socket.AF_INET, ("127.0.0.1", port)) if port else (socket.AF_UNIX, str(path))
        with socket.create_server(address, family=family) as server:

            def serve():
                while True:
                    try:
                        connection, _ = server.accept()
                    except OSError:
                        return
                    with connection:
                        while data := connection.recv(65536):
                            connection.sendall(data.upper())

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield
            server.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    CODE = """
import json, socket, sys
answers = []
for text in sys.argv[3:]:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10) as client:
        client.sendall(text.encode() * int(sys.argv[2]))
        client.shutdown(socket.SHUT_WR)
        answers.append(client.makefile().read())
print(json.dumps(answers))
"""
    REACH = """
import json, socket, sys
reached = []
for address, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((address, port), timeout=2).close()
        reached.append([address, port])
    except OSError:
        pass
socket.socket(type=socket.SOCK_DGRAM).sendto(b"sent", ("127.0.0.1", int(sys.argv[2])))
print(json.dumps(reached))
"""

    def test_one_address_leads_out(self, den):
        path = den.folder / "socket"
        relay = {"network": Network.RELAY, "relay_socket": path, "relay_port": 18431}
        with self.echo_server(path):
            finished = den.python(self.CODE, "18431", "200000", "hello", "x", **relay)
        assert finished.returncode == 0, den.err
        assert json.loads(den.out) == ["HELLO" * 200_000, "X" * 200_000]
        assert finished.duration_seconds < 20

    def test_no_other_address_is_reached(self, any_den):
        path = any_den.folder / "socket"
        with (
            self.echo_server(path),
            socket.create_server(("127.0.0.1", 0)) as other,
            socket.create_server(("127.0.0.2", 0)) as elsewhere,
            socket.socket(type=socket.SOCK_DGRAM) as letters,
        ):
            letters.bind(("127.0.0.1", 0))
            letters.setblocking(False)
            port = elsewhere.getsockname()[1]
            relay = {"network": Network.RELAY, "relay_socket": path, "relay_port": port}
            targets = [list(it.getsockname()) for it in (other, elsewhere)]
            finished = any_den.python(
                self.REACH,
                json.dumps([["127.0.0.1", port], *targets]),
                str(letters.getsockname()[1]),
                **relay,
            )
            assert finished.returncode == 0, any_den.err
            sent = letters.recv(10) if select.select([letters], [], [], 0)[0] else b""
        door = [] if not any_den.sandbox.is_confining else [["127.0.0.1", port]]
        outside = [it for it in json.loads(any_den.out) if it not in door]
        # One that has no network of its own says so: there the door's port is open on every machine, and all of UDP.
        shares_network = "without loopback" in any_den.sandbox.description
        if any_den.sandbox.is_confining:
            assert door[0] in json.loads(any_den.out)
            assert (outside, sent) == ((targets[1:], b"sent") if shares_network else ([], b""))
        else:
            assert (outside, sent) == (targets, b"sent")

    def test_a_meter_has_the_same_port_outside(self, den):
        path = den.folder / "socket"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        relay = {"network": Network.RELAY, "relay_socket": path, "relay_port": port}
        with self.echo_server(path), self.echo_server(path, port):
            finished = den.python(self.CODE, str(port), "1", "hello", **relay)
        assert finished.returncode == 0, den.err
        assert json.loads(den.out) == ["HELLO"]

    def test_the_relay_ends_with_the_program(self, den):
        path = den.folder / "socket"
        relay = {"network": Network.RELAY, "relay_socket": path, "relay_port": 18432}
        with self.echo_server(path):
            assert den.run("true", env={**den.env, "MARKED": str(path)}, **relay).returncode == 0
        assert [it.pid for it in psutil.process_iter() if _environ_of(it).get("MARKED") == str(path)] == []

    def test_a_dead_meter_is_an_error_and_no_hang(self, den):
        path = den.folder / "socket"
        with socket.create_server(str(path), family=socket.AF_UNIX):
            pass
        relay = {"network": Network.RELAY, "relay_socket": path, "relay_port": 18433}
        den.python(self.CODE, "18433", "1", "hello", **relay)
        assert "hello" not in den.out.lower()


def _environ_of(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


# Whatever becomes of this test, it ends by itself.
BOMB = "import os, time\nfor _ in range(300):\n    if not os.fork():\n        time.sleep(30)\n        os._exit(0)\ntime.sleep(30)"


THREADS = "import threading, time\nfor _ in range(300):\n    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\ntime.sleep(30)"
# Nothing of it is mapped, and so no process holds it.
FILES = """
import os, time
file = open(os.path.join(os.environ["TMPDIR"], "file"), "wb", 0)
for _ in range(200):
    file.write(bytes(1_000_000))
time.sleep(30)
"""
SHARED = """
import mmap, os, time
held = mmap.mmap(-1, 60_000_000)
for place in range(0, len(held), 4096):
    held[place] = 1
for _ in range(4):
    if not os.fork():
        sum(held[place] for place in range(0, len(held), 4096))
        time.sleep(1)
        os._exit(0)
os.wait()
"""


class TestLimits:
    def test_threads_count_too(self, den):
        finished = den.python(THREADS, limits=RoomLimits(processes=50))
        assert finished.overuse == "more than 50 processes and threads", (finished, den.err)

    def test_files_that_lie_in_the_rooms_memory_count(self, den):
        if den.sandbox.description.startswith("Landlock"):
            pytest.skip("its folder for temporary files is on the disk")
        assert "(limit 95 MiB)" in den.python(FILES, limits=RoomLimits(memory_bytes=100_000_000)).overuse

    def test_what_processes_share_counts_once(self, den):
        finished = den.python(SHARED, limits=RoomLimits(memory_bytes=150_000_000))
        assert (finished.returncode, finished.overuse) == (0, "")
        finished = den.python(SHARED, limits=RoomLimits(memory_bytes=50_000_000))
        assert "(limit 48 MiB)" in finished.overuse

    @pytest.mark.parametrize("name", ["", "run/", "dev/", "etc/"])
    def test_nothing_is_written_where_no_size_is_set(self, den, name):
        assert den.run("sh", "-c", f"echo x > /{name}file").returncode != 0
        assert den.run("sh", "-c", f"mkdir /{name}folder").returncode != 0

    def test_devices_are_written_to_all_the_same(self, den):
        assert den.run("sh", "-c", "echo x > /dev/null && head -c 3 /dev/zero > /dev/full").returncode != 0
        assert den.run("sh", "-c", "echo x > /dev/null").returncode == 0

    @pytest.mark.parametrize("name", ["/tmp", "/var/tmp", "/dev/shm", "$HOME"])
    def test_each_folder_in_memory_has_a_size(self, den, name):
        if den.sandbox.description.startswith("Landlock"):
            pytest.skip("it has none")
        den.run("sh", "-c", f'df -k --output=size "{name}" | tail -1')
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert 0 < int(den.out) * 1024 <= memory // 4 + 4096

    def test_a_fork_bomb_is_killed(self, den):
        finished = den.python(
            BOMB, env={**den.env, "MARKED": str(den.folder)}, limits=RoomLimits(processes=50)
        )
        assert finished.overuse == "more than 50 processes and threads"
        assert finished.duration_seconds < 20
        assert [
            it.pid for it in psutil.process_iter() if _environ_of(it).get("MARKED") == str(den.folder)
        ] == []

    def test_nothing_that_was_detached_is_left(self, den):
        script = "(setsid sleep 300 &) ; setsid sh -c 'sleep 300 & sleep 300' & sleep 0.1; exit 3"
        finished = den.run("sh", "-c", script, env={**den.env, "MARKED": str(den.folder)})
        assert finished.returncode == 3
        assert [
            it.pid for it in psutil.process_iter() if _environ_of(it).get("MARKED") == str(den.folder)
        ] == []

    def test_the_time_limit_ends_a_room(self, den):
        env = {**den.env, "MARKED": str(den.folder)}
        finished = den.run("sh", "-c", "setsid sleep 300 & sleep 300", env=env, timeout_seconds=0.5)
        assert (finished.timed_out, finished.returncode) == (True, None)
        assert [
            it.pid for it in psutil.process_iter() if _environ_of(it).get("MARKED") == str(den.folder)
        ] == []

    def test_a_room_whose_guard_is_killed_from_inside_was_killed(self, den):
        if den.sandbox.description.startswith("Landlock"):
            pytest.skip("the guard is outside, where no signal reaches it")
        assert den.run("sh", "-c", "kill -9 2; sleep 300").returncode == -9

    def test_output_is_cut_in_a_room_too(self, den):
        den.processes = GuardedProcesses(SystemClock(), max_output_bytes=100_000)
        assert den.run("yes").output_overflow
        assert len(den.out) < 101_000
