"""### Daily success metrics

Says whether the system does what it is for: new customers, costs, hits of the model, exploration, decisions, safety.

**Reads** `ads.ads_campaign_performance`, `ads.ads_ad_performance`, `ads.business_outcomes`, `models.mmm_runs`,
`models.mmm_draws`, `models.mmm_allocations`, `models.lift_tests`, `models.bandit_decisions`, `models.bandit_rewards`,
`control.fidelity_evaluations`, `control.fidelity_periods`, `control.change_reconciliation`, `control.approvals`,
`control.canary_changes`
**Writes** `control.success_metrics_daily`
**If it fails** the day is missing in the metrics over time; nothing acts on them. Runbook `metrics_daily`.
"""

from aelp2_airflow.assets import CHANGES_RECONCILED, PREDICTIONS_HELD
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "metrics_daily",
    doc_md=__doc__,
    # Both follow the day's data gate by themselves; the metrics take the day's verdicts, not yesterday's.
    schedule=after(CHANGES_RECONCILED, PREDICTIONS_HELD),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.THIS_WEEK),
    tags=[Tag.GOVERN],
):
    measure = pod("measure-success", image="mmm")
