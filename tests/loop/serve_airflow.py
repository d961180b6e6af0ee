"""Runs in Airflow's own environment: keeps a local Airflow up until its input is closed. Prints address and password as JSON.

`.venv-airflow/bin/python tests/loop/serve_airflow.py HOME` with the jobs' environment as JSON on the first line of its input.
"""

import json
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "scripts")]

from local_airflow import OPERATOR, ROOT, LocalAirflow  # noqa: E402 - needs the line above

airflow = LocalAirflow(Path(sys.argv[1]), ROOT / "dags", ROOT / "plugins")
try:
    airflow.start(json.loads(sys.stdin.readline()), say=lambda _text: None)
    airflow.api(OPERATOR).pause("platform_onboard", False)
    where = {"url": airflow.url, "user": OPERATOR, "password": airflow.password(OPERATOR)}
    sys.stdout.write(json.dumps(where) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
finally:
    airflow.stop()
