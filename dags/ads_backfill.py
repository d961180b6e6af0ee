"""### Backfill of ads

Loads the past of ad accounts again, from a day that the form asks for up to yesterday; started by hand.

**Reads** the ad platforms **Writes** `ads.ads_campaign_performance`, `ads.ads_ad_performance`, `ads.ads_criterion_performance`,
`ads.ads_action_performance`, `ads.ads_breakdown_performance`, `ads.ads_conversion_action_stats`, `ads.ads_change_events`,
`ads.ads_entities`, `ads.ad_statuses`, `ads.campaign_budgets`, `control.validation_results`, `control.quarantine`
**If it fails** what landed stays; clear the failed account's task within the same run and it goes on where it was cut off.
Runbook `ads_backfill`.
"""

from datetime import timedelta

from aelp2_airflow import forms
from aelp2_airflow.defaults import START, Tag, Urgency, default_args
from aelp2_airflow.pods import pod, pod_each
from airflow.sdk import DAG

with DAG(
    "ads_backfill",
    doc_md=__doc__,
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("data", Urgency.THIS_WEEK),
    tags=[Tag.INGEST],
    params={"platform": forms.platform(or_all=True), "account": forms.accounts(), "start_date": forms.start_date("2026-01-01")},
):
    form = (
        "--platform",
        "{{ params.platform or '' }}",
        "--account",
        "{{ params.account or '' }}",
        "--start-date",
        "{{ params.start_date }}",
    )
    accounts = pod("list-accounts", *form, access="read", xcom=True)
    ads = pod_each("ingest-ads", over=accounts, access="read", size="m", execution_timeout=timedelta(hours=8))
    validate = pod("validate-tables")

    ads >> validate
