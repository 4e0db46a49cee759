"""A coding agent that answers as it did when its answers were recorded.

``agent.py FOLDER`` looks the task's answer up in ``FOLDER/RUN/PHASE.json`` (``files`` and ``usage``) and writes the
files below the working folder.
"""

import json
import os
import sys
from pathlib import Path

from workspace import place


def main() -> None:
    """Answer the task that the environment describes."""
    task = json.loads(Path(os.environ["AUTOPACK_REQUEST_FILE"]).read_text(encoding="utf-8"))
    recorded = Path(sys.argv[1]) / task["run_id"] / f"{task['phase_id']}.json"
    answer = json.loads(recorded.read_text(encoding="utf-8"))
    for key, content in answer["files"].items():
        path = place(task["scope"], key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    Path(os.environ["AUTOPACK_USAGE_FILE"]).write_text(json.dumps(answer["usage"]), encoding="utf-8")


if __name__ == "__main__":
    main()
