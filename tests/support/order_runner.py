"""The program ``killing_release.py`` as a test drives it."""

import json
import subprocess
import sys
from pathlib import Path

KILLING = Path(__file__).parent / "killing_release.py"
END_SECONDS = 180


class Runner:
    """Carries orders out, one process for each, without loading the program anew for every one."""

    def __init__(self):
        self._program = subprocess.Popen(
            [sys.executable, str(KILLING)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, project, *words, kill=None, environ=()):
        order = {
            "root": str(project.root),
            "words": words,
            "kill": kill,
            "log": str(project.root.with_name("programs.log")),
            "environ": {**project.executor_environ, "AUTOPACK_BUILDER": project.builder, **dict(environ)},
        }
        self._program.stdin.write(json.dumps(order) + "\n")
        self._program.stdin.flush()
        return json.loads(self._program.stdout.readline())

    def close(self):
        self._program.stdin.close()
        self._program.wait(END_SECONDS)
        self._program.stdout.close()
