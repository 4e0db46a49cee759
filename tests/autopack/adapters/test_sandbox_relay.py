"""The one address that leads out of a room, and that no other does."""

import json
import select
import socket
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from rooms import pids_marked

from autopack.ports import Network

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandboxes are Linux's")


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
                    with connection, suppress(OSError):
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
        assert pids_marked(path) == []

    def test_a_dead_meter_is_an_error_and_no_hang(self, den):
        path = den.folder / "socket"
        with socket.create_server(str(path), family=socket.AF_UNIX):
            pass
        relay = {"network": Network.RELAY, "relay_socket": path, "relay_port": 18433}
        den.python(self.CODE, "18433", "1", "hello", **relay)
        assert "hello" not in den.out.lower()
