"""### Daily ads and outcomes

Loads the restatement window of every ad account and the business's own new customers, then checks both.

**Reads** the ad platforms, the business's outcomes **Writes** `ads.ads_campaign_performance`, `ads.ads_ad_performance`,
`ads.ads_criterion_performance`, `ads.ads_conversion_action_stats`, `ads.ads_change_events`, `ads.campaign_budgets`,
`ads.business_outcomes`, `control.validation_results`, `control.quarantine`
**If it fails** yesterday's tables stay as they were and no plan is made today; clear the failed task once its cause is gone, a
repeated load changes nothing. Runbook `ads_ingest_daily`.
"""

from aelp2_airflow.assets import ADS_VALIDATED
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "ads_ingest_daily",
    doc_md=__doc__,
    schedule=cron("0 5 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("data", Urgency.TODAY),
    tags=[Tag.INGEST],
):
    ads = pod("ingest-ads", access="read", size="m")
    outcomes = pod("ingest-outcomes")
    validate = pod("validate-tables", writes=(ADS_VALIDATED,))

    [ads, outcomes] >> validate
