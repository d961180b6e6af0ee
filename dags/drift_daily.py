"""### Daily drift check

Compares the last weeks of ads, journeys, model inputs and residuals with the weeks before, without their weekly season.

**Reads** `ads.ads_campaign_performance`, `ads.business_outcomes`, `ads.business_controls`, `ga4.conversion_maturity`,
`gaelp_users.journey_sessions`, `models.mmm_runs`, `models.mmm_reviews`, `models.mmm_fit_weekly`
**Writes** `control.drift_reports`, an HTML report
**If it fails** there is no plan today: the gate before it wants to know that the data is still like the data the model learned
from. Budgets stay. Runbook `drift_daily`.
"""

from aelp2_airflow.assets import ADS_VALIDATED, DRIFT_CHECKED
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "drift_daily",
    doc_md=__doc__,
    schedule=after(ADS_VALIDATED),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("data", Urgency.TODAY),
    tags=[Tag.CHECK],
):
    check = pod("check-drift", image="learn", size="m", writes=(DRIFT_CHECKED,))
