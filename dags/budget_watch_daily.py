"""### Watch the open canaries

Measures every applied change against its guardrails; rolls back what breached, promotes what ended well, says whose each budget
change was, and writes the report.

**Reads** `ads.ads_campaign_performance`, `ads.business_outcomes`, `ads.ads_change_events`, `control.change_sets`,
`control.canary_changes`
**Writes** `control.canary_watch`, `control.change_reconciliation`, `control.safety_events`, `control.kill_switch`,
`control.canary_changes`, on a breach the budgets of the ad accounts, the report page
**If it fails** a canary runs unwatched, or a rollback stopped because somebody else edited the budget: look now, in the account
and in the change log of the report. Runbook `budget_watch_daily`.
"""

from aelp2_airflow.assets import ADS_VALIDATED, CHANGES_RECONCILED
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG(
    "budget_watch_daily",
    doc_md=__doc__,
    schedule=after(ADS_VALIDATED),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.NOW),
    tags=[Tag.ACT],
):
    # Beside the watch: whoever undoes a change of ours freezes the account, whether a canary is open or not.
    reconcile = pod("reconcile-changes", writes=(CHANGES_RECONCILED,))
    watch = pod("watch-canary", access="read")
    # One after the other: both write the changefeed, and a breach must be answered before anything is declared good.
    # Whatever the watch ended with: a canary that cannot be measured must not keep one that breached from being undone.
    roll_back = pod("roll-back-changes", "--live", access="mutate", trigger_rule="all_done")
    promote = pod("promote-changes", trigger_rule="none_failed_min_one_success")
    report = pod("report", image="report", trigger_rule="all_done")
    # The report is written whatever happened; this marker keeps a failure before it from being painted green.
    watched = EmptyOperator(task_id="watched", trigger_rule="none_failed")

    watch >> roll_back >> promote >> [report, watched]
    reconcile >> [report, watched]
    watch >> promote
