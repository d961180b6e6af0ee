"""### Weekly uplift

Imports the experiments, estimates what treatment adds in each and for whom, and plans audiences from it. Nothing is sent.

**Reads** the experiments' files, `gaelp_users.journey_sessions`, `gaelp_users.identity_nodes`
**Writes** `gaelp_users.experiments`, `gaelp_users.experiment_assignments`, `models.uplift_segment_daily`,
`models.uplift_learners_daily`, `models.uplift_deciles_daily`, `models.uplift_curves`, `models.segment_scores_daily`,
`models.lift_tests`, `control.audience_plans`, `gaelp_users.audience_members`, `control.ingest_runs`, `control.validation_results`
**If it fails** last week's effects and plans stay; nothing acts on them. Without an experiment all of it is skipped.
Runbook `uplift_weekly`.
"""

from aelp2_airflow.defaults import START, Tag, Urgency, cron, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "uplift_weekly",
    doc_md=__doc__,
    schedule=cron("0 15 * * 1"),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("measurement", Urgency.THIS_WEEK),
    tags=[Tag.MEASURE],
):
    assignments = pod("import-assignments", access="salt")
    # Skipped is fine: experiments may also be imported by hand.
    validate = pod("validate-tables", "--for", "fit-uplift", trigger_rule="none_failed")
    fit = pod("fit-uplift", image="learn", size="m")
    plan = pod("plan-audiences")

    assignments >> validate >> fit >> plan
