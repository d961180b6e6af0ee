"""### Apply the approved changes as a canary

Waits for the approval of the same day, then: is the account ready, snapshot, check only, apply once, read back. Without an
approval nothing runs.

**Reads** `control.change_sets`, `control.approvals`, `control.kill_switch`, `control.canary_budgets_snapshot`
**Writes** the budgets of the ad accounts, `control.readiness`, `control.canary_changes`, `control.canary_budgets_snapshot`,
`control.safety_events`
**If it fails** what was applied has been rolled back by its receipts, or `roll_back_changes` failed too and a person must look
now: `aelp2 kill --why …` stops every further change. Runbook `budget_canary_daily`.
"""

from aelp2_airflow.approval import approval_gate
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(
    "budget_canary_daily",
    doc_md=__doc__,
    schedule=cron("0 8 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.NOW),
    tags=[Tag.ACT],
):
    gate = approval_gate("budget_approval_daily")
    assess = pod("assess-readiness")
    snapshot = pod("snapshot-budgets", access="read")
    validate = pod("validate-changes", access="mutate")
    apply = pod("apply-changes", "--live", access="mutate")
    verify = pod("verify-changes", access="read")
    roll_back = pod("roll-back-changes", "--kind", "budgets", "--live", access="mutate", trigger_rule="one_failed")
    # A run is as good as its last tasks. Without this one, a rollback that works would paint a failed run green.
    applied = EmptyOperator(task_id="applied")

    gate >> assess >> snapshot >> validate >> apply >> verify >> applied
    [apply, verify] >> roll_back
