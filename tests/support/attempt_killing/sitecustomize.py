"""Read by every Python below a test that puts this folder on PYTHONPATH: kills the first attempt's process at a step.

``AUTOPACK_TEST_KILL`` holds the step as JSON and a file that tells that it is done; other programs go on as ever.
"""

import json
import os
import sys
from pathlib import Path

if "autopack.autonomous_executor" in sys.orig_argv and (told := os.environ.get("AUTOPACK_TEST_KILL")):
    order = json.loads(told)
    if not Path(order["done"]).exists():
        Path(order["done"]).touch()
        sys.path.append(str(Path(__file__).parents[1]))
        from kill_steps import Steps, count_made

        from autopack.bootstrap import parts

        steps = Steps(order["kill"], takes_group=False)
        count_made(parts, "open_store", "store", steps)
        count_made(parts, "open_workspace", "workspace", steps)
