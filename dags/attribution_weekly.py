"""### Weekly attribution

Credits four weeks of conversions to channels by nine methods, and sets last touch and Markov beside the live marketing-mix model.

**Reads** `models.journey_paths_daily`, `models.mmm_draws`, `models.mmm_allocations` **Writes** `models.attribution_weekly`,
`models.attribution_cross_check`
**If it fails** last week's credits stay; no budget rests on them. Runbook `attribution_weekly`.
"""

from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "attribution_weekly",
    doc_md=__doc__,
    schedule=cron("0 14 * * 1"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("measurement", Urgency.THIS_WEEK),
    tags=[Tag.MEASURE],
):
    attribute = pod("attribute-conversions", image="mmm", size="m")
