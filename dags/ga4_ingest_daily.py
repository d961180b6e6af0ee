"""### Daily website and server events

Loads GA4's export with the days that late events still change, and the events of the business's own systems; checks both.

**Reads** the GA4 export, the server events' files **Writes** `ga4.ga4_events`, `ga4.ga4_daily`, `gaelp_users.server_events`,
`control.imported_files`, `control.ingest_runs`, `control.validation_results`, `control.quarantine`
**If it fails** yesterday's events stay as they were and journeys are not made today; clear the failed task once its cause is
gone, a repeated load changes nothing. Runbook `ga4_ingest_daily`.
"""

from aelp2_airflow.assets import GA4_VALIDATED
from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "ga4_ingest_daily",
    doc_md=__doc__,
    schedule=cron("0 10 * * *"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("data", Urgency.TODAY),
    tags=[Tag.INGEST],
):
    website = pod("ingest-ga4", access="salt", size="m")
    server = pod("ingest-events", image="identity", access="salt")
    # An advertiser without GA4 or without server events skips that task; a failed one stops the line.
    validate = pod("validate-tables", "--for", "ingest-ga4", writes=(GA4_VALIDATED,), trigger_rule="none_failed_min_one_success")

    [website, server] >> validate
