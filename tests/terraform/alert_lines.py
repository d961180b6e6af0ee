"""Run by Airflow's interpreter: the line that the real alert logs for each DAG of argv and each kind of failure, as JSON."""

import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "plugins"))
os.environ |= {"AIRFLOW_HOME": tempfile.mkdtemp(prefix="aelp2-alerts-"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def main() -> None:
    """Write [DAG, kind, line] triples to the standard output."""
    from aelp2_airflow.defaults import Urgency, alert
    from aelp2_airflow.failure_kinds import JobFailed, Kind

    lines: list[str] = []
    logger = logging.getLogger("aelp2.alert")
    logger.propagate = False
    logger.addHandler(SimpleNamespace(level=0, handle=lambda record: lines.append(record.getMessage())))  # type: ignore[arg-type]
    found = []
    for dag_id in sys.argv[1:]:
        for kind in Kind:
            context = {
                "dag": SimpleNamespace(dag_id=dag_id, doc_md='**If it fails** read "the log".'),
                "task": SimpleNamespace(owner="growth", task_id="the_task"),
                "ti": SimpleNamespace(log_url="https://airflow.example/log"),
                "run_id": "scheduled__2026-03-01T05:00:00+00:00",
                # An error may quote anything, an id of another DAG or a word that is a key too.
                "exception": JobFailed('a dag_id or kind of "error": \n see budget_canary_daily, aelp2_alert', kind),
            }
            alert(context, Urgency.TODAY)
            found.append([dag_id, str(kind), lines.pop()])
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
