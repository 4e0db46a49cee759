"""A terminal of a program's own, on which a test types, reads, and which it may close."""

import fcntl
import os
import pty
import re
import select
import subprocess
import termios
import threading
from contextlib import suppress

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C = b"\x03"


class Terminal:
    """A program in the foreground of a terminal; what it writes is read all the time, so that it never waits."""

    def __init__(self, command, *, cwd, environ):
        self._leader, follower = pty.openpty()
        self._heard = bytearray()
        self._is_closed = False
        self._news = threading.Condition()
        self._hang_up, self._told_to_hang_up = os.pipe()
        self.program = subprocess.Popen(
            command,
            cwd=cwd,
            env={**environ, "COLUMNS": "200", "TERM": "xterm"},
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 -- nothing but one system call
        )
        os.close(follower)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        chunk = b"x"
        while chunk:
            if self._hang_up in select.select([self._leader, self._hang_up], [], [])[0]:
                return
            chunk = b""
            # That is how a terminal says that nobody is at its other end.
            with suppress(OSError):
                chunk = os.read(self._leader, 65536)
            with self._news:
                self._heard += chunk
                self._news.notify_all()

    @property
    def text(self):
        """All that was written so far, without colours and moves of the cursor."""
        return _SEQUENCE.sub("", self._heard.decode(errors="replace"))

    def wait_for(self, words, seconds):
        """Until the words are on the terminal."""
        with self._news:
            assert self._news.wait_for(lambda: words in self.text, seconds), self.text

    def to_the_end(self, seconds):
        """All that is written until the program ends."""
        self.program.wait(seconds)
        self._reader.join(seconds)
        return self.text

    def type(self, keys):
        os.write(self._leader, keys)

    def close(self):
        """Close the terminal, as a window is closed; once it is, nothing more happens."""
        if self._is_closed:
            return
        self._is_closed = True
        os.write(self._told_to_hang_up, b"x")
        self._reader.join()
        for end in (self._leader, self._hang_up, self._told_to_hang_up):
            os.close(end)


def _take_terminal():
    # The session is its own already, and has no terminal that it answers to.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
