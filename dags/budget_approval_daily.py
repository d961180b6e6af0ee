"""### A person decides on today's budget changes

Lays the newest change set out under Required Actions, waits for an answer, and records who decided what on which hash.

**Reads** `control.change_sets`, `control.budget_proposals` **Writes** `control.approvals`, `control.canary_changes`
**If it fails** nobody answered in time or the answer could not be recorded: nothing is applied, the proposal expires, and
tomorrow's plan starts anew. Runbook `budget_approval_daily`.
"""

from datetime import timedelta

from aelp2_airflow.approval import approval_of, twin
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "budget_approval_daily",
    doc_md=__doc__,
    schedule=cron("0 8 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.TODAY),
    tags=[Tag.APPROVE],
):
    request = pod("request-approval", xcom=True)
    approved = approval_of(request, within=timedelta(hours=20))

    twin("budget_canary_daily")
