"""A server on the loopback interface that answers as a test says."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass
class Answer:
    status: int = 200
    body: bytes | str | object = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], object] | None = None
    """Called after the headers were sent and before the body is."""

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


@dataclass
class WebServer:
    url: str
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    """Set when the test is over, for answers that hang."""


@contextmanager
def serve(answer: Callable[[Asked], Answer]) -> Iterator[WebServer]:
    """A server for as long as the context lasts; ``answer`` is called for every request, in its own thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # the server looks it up by this name
            length = int(self.headers.get("content-length") or 0)
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(length).decode()
            asked = Asked(parts.path, dict(parse_qsl(parts.query)), headers, body)
            server.asked.append(asked)
            given = answer(asked)
            content = given.content()
            try:
                self.send_response(given.status)
                for name, value in {"content-type": "application/json", **given.headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                if given.before is not None:
                    given.before()
                self.wfile.write(content)
            except OSError:
                # A client that has heard enough goes away.
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 -- the server looks it up by this name

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = WebServer(url=f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()
