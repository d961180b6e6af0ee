"""### Enable and pause the approved ads as a canary

Waits for the approval of the same day, then: readiness, snapshot, check only, switch once, read back. Without an approval nothing
runs.

**Reads** `control.change_sets`, `control.approvals`, `control.readiness`, `control.kill_switch`, `control.canary_ads_snapshot`
**Writes** the status of ads in the ad accounts, `control.readiness`, `control.canary_changes`, `control.canary_ads_snapshot`,
`control.safety_events`
**If it fails** what was switched has been switched back by its receipts, or `roll_back_changes` failed too and a person must look
now: `aelp2 kill --why …` stops every further change. Runbook `bandit_canary_daily`.
"""

from aelp2_airflow.approval import approval_gate
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(
    "bandit_canary_daily",
    doc_md=__doc__,
    schedule=cron("30 8 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.NOW),
    tags=[Tag.ACT],
):
    kind = ("--kind", "ad_status")
    gate = approval_gate("bandit_approval_daily")
    assess = pod("assess-readiness")
    snapshot = pod("snapshot-budgets", *kind, access="read")
    validate = pod("validate-changes", *kind, access="mutate")
    apply = pod("apply-changes", *kind, "--live", access="mutate")
    verify = pod("verify-changes", *kind, access="read")
    roll_back = pod("roll-back-changes", *kind, "--live", access="mutate", trigger_rule="one_failed")
    # A run is as good as its last tasks. Without this one, a rollback that works would paint a failed run green.
    applied = EmptyOperator(task_id="applied")

    gate >> assess >> snapshot >> validate >> apply >> verify >> applied
    [apply, verify] >> roll_back
