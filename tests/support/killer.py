"""The program ``killing.py`` as a test drives it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from project import IDENTITY

KILLING = Path(__file__).parent / "killing.py"


class Killing:
    """The program that makes attempts and kills them."""

    def __init__(self):
        self._program = subprocess.Popen(
            [sys.executable, str(KILLING)],
            env={**os.environ, **IDENTITY},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def attempt(self, project, *, kill_at=None, where="", is_watched=False):
        """Make an attempt, or kill it before or after a call: that of this number, from 0, or the first of this name.

        Returns:
            Its exit code, its calls and, where it is watched, which of these wrote anything; or the signal.
        """
        kill = [kill_at, 1, where] if isinstance(kill_at, str) else ["", (kill_at or 0) + 1, where]
        order = {
            "root": str(project.root),
            "builder": project.builder,
            "environ": {"DATABASE_URL": project.settings.database_url},
            "is_watched": is_watched,
            "kill": None if kill_at is None else kill,
        }
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        return json.loads(self._program.stdout.readline())

    def close(self):
        self._program.stdin.close()
        self._program.stdout.close()
        assert self._program.wait(180) == 0
