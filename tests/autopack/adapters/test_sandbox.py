"""What a program in a room can and cannot do; each attack succeeds where there is no room, so that each can fail."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from rooms import Den

from autopack.adapters.sandbox import attack, bwrap
from autopack.adapters.sandbox.attack import keyrings
from autopack.adapters.sandbox.places import CONFIGURATION
from autopack.errors import ProcessError, RoomError
from autopack.ports import Network

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")


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
