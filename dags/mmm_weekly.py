"""### Weekly marketing-mix model

Fits the MMM on checked spend and new customers, judges the fit, and lets only a healthy one go live.

**Reads** `ads.ads_campaign_performance`, `ads.business_outcomes`, `ads.business_controls`
**Writes** `models.mmm_runs`, `models.mmm_curves`, `models.mmm_allocations`, `models.mmm_draws`, `models.mmm_fit_weekly`,
`models.mmm_reviews`
**If it fails** last week's curves stay live and the daily plan goes on with them; read the named checks of the review before
fitting again. Runbook `mmm_weekly`.
"""

from datetime import timedelta

from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "mmm_weekly",
    doc_md=__doc__,
    schedule=cron("30 6 * * 1"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("measurement", Urgency.THIS_WEEK),
    tags=[Tag.MEASURE],
):
    validate = pod("validate-tables", "--for", "fit-mmm")
    fit = pod("fit-mmm", image="mmm", size="l", execution_timeout=timedelta(hours=4))
    review = pod("review-mmm", image="mmm", size="m")

    validate >> fit >> review
