"""### A person decides which ads are enabled and paused today

Lays the undecided change sets of ads of all accounts out under Required Actions, apart from budgets, waits for one answer, and
records who decided what on which hash.

**Reads** `control.change_sets`, `control.ad_decisions`, `ads.ad_statuses`
**Writes** `control.approvals`, `control.canary_changes`
**If it fails** there was no plan yet, nobody answered in time, or the answer could not be recorded: what is not recorded is not
applied, the proposal expires, and tomorrow's plan starts anew. Runbook `bandit_approval_daily`.
"""

from datetime import timedelta

from aelp2_airflow.approval import approval_of, twin
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG, Param

with DAG(
    "bandit_approval_daily",
    doc_md=__doc__,
    schedule=cron("30 8 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.TODAY),
    tags=[Tag.APPROVE],
    params={"account": Param("", type="string", pattern=r"^\w*$", description="Only this account's changes; empty: all of them")},
):
    request = pod("request-approval", "--kind", "ad_status", "--account", "{{ params.account }}", xcom=True)
    approved = approval_of(request, within=timedelta(hours=20))

    twin("bandit_canary_daily")
