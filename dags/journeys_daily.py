"""### Persons and journeys

Works out which ids belong to one person, makes journeys of their visits, learns how late conversions come, sweeps what is old.

**Reads** `ga4.ga4_events`, `gaelp_users.server_events`, `ads.ads_conversion_action_stats`
**Writes** `gaelp_users.identity_edges`, `gaelp_users.identity_nodes`, `gaelp_users.journey_sessions`,
`gaelp_users.persistent_touchpoints`, `models.journey_paths_daily`, `models.journey_transitions_daily`,
`ga4.conversion_maturity`, `ga4.ga4_lagged_daily`
**If it fails** yesterday's journeys stay in use; nothing acts on them. Runbook `journeys_daily`.
"""

from aelp2_airflow.assets import GA4_VALIDATED
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "journeys_daily",
    doc_md=__doc__,
    schedule=after(GA4_VALIDATED),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.THIS_WEEK),
    tags=[Tag.IDENTIFY],
):
    stitch = pod("stitch-identities", image="mmm", access="salt", size="m")
    journeys = pod("build-journeys", size="m")
    maturity = pod("estimate-maturity", image="mmm", size="m")
    # What a person may ask to be forgotten is forgotten by itself after 13 months.
    sweep = pod("forget", "--older-than-days", "395", "--why", "retention", "--delete", size="m")

    stitch >> journeys >> sweep
