"""### Daily readiness

Says for each account whether it may be changed today, and why not, before anybody is asked to approve anything. The canary asks
again right before it acts.

**Reads** `ads.ads_campaign_performance`, `ads.business_outcomes`, `control.validation_results`, `models.mmm_runs`,
`models.mmm_reviews`, `control.drift_reports`, `control.drift_acknowledgements`, `control.fidelity_evaluations`,
`control.change_sets`, `control.kill_switch`, `control.change_reconciliation`, `control.canary_changes`
**Writes** `control.readiness`
**If it fails** no account has a verdict of the day and the canary changes nothing. Runbook `readiness_daily`.
"""

from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "readiness_daily",
    doc_md=__doc__,
    schedule=cron("30 7 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.TODAY),
    tags=[Tag.GOVERN],
):
    assess = pod("assess-readiness")
