"""### Daily ads and outcomes

Loads the restatement window of every ad account on every platform, the business's own new customers and the rates between their
currencies, then checks all.

**Reads** the ad platforms, the business's outcomes, the central bank's rates **Writes** `ads.ads_campaign_performance`,
`ads.ads_ad_performance`, `ads.ads_criterion_performance`, `ads.ads_action_performance`, `ads.ads_breakdown_performance`,
`ads.ads_conversion_action_stats`, `ads.ads_change_events`, `ads.ads_entities`, `ads.ad_statuses`, `ads.campaign_budgets`,
`ads.business_outcomes`, `ads.fx_rates_daily`, `control.validation_results`, `control.quarantine`
**If it fails** an account that failed keeps yesterday's rows and stops no other; checks and plans go on with the others, and this
run stays red until the account's task is cleared. Where outcomes, rates or checks fail, no plan is made today. A repeated load
changes nothing. Runbook `ads_ingest_daily`.
"""

from aelp2_airflow.assets import ADS_VALIDATED
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import marker, pod, pod_each
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
    accounts = pod("list-accounts", access="read", xcom=True)
    ads = pod_each("ingest-ads", over=accounts, access="read", size="m")
    some_landed = marker("some_accounts_landed", trigger_rule="all_done_min_one_success")
    all_landed = marker("all_accounts_landed")
    outcomes = pod("ingest-outcomes")
    rates = pod("ingest-fx")
    validate = pod("validate-tables", writes=(ADS_VALIDATED,))

    ads >> [some_landed, all_landed]
    [some_landed, outcomes] >> rates >> validate
