"""### Smoke test of a release

Starts one pod for each image and role that the DAGs use and has it check what its jobs need: the image comes, settings, rules,
secrets, tables, disk. The release starts it and waits for it; you may at any time.

**Reads** `control.kill_switch`, and the columns of every table **Writes** nothing
**If it fails** the release is in place but not fit; no account is changed by it. Mend what the task says, or go back.
Runbook `smoke`.
"""

from aelp2_airflow.defaults import START, Tag, Urgency, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "smoke",
    doc_md=__doc__,
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("data", Urgency.TODAY),
    tags=[Tag.GOVERN],
):
    pod("check-deployment", xcom=True, task_id="ads_none")
    pod("check-deployment", "--access", "salt", access="salt", xcom=True, task_id="ads_salt")
    pod("check-deployment", "--access", "read", access="read", xcom=True, task_id="ads_read")
    pod("check-deployment", "--access", "mutate", access="mutate", xcom=True, task_id="ads_mutate")
    pod("check-deployment", "--access", "salt", image="identity", access="salt", xcom=True, task_id="identity_salt")
    pod("check-deployment", image="learn", xcom=True, task_id="learn_none")
    pod("check-deployment", image="mmm", xcom=True, task_id="mmm_none")
    pod("check-deployment", "--access", "salt", image="mmm", access="salt", xcom=True, task_id="mmm_salt")
    pod("check-deployment", image="report", xcom=True, task_id="report_none")
