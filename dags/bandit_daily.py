"""### Daily bandits

Learns what each ad, keyword and audience brings per spend, splits every ad group's spend over each kind, proposes which ads to
enable and pause, and judges running experiments. Changes nothing at the platforms.

**Reads** `ads.ads_ad_performance`, `ads.ads_criterion_performance`, `ga4.conversion_maturity`,
`models.mmm_allocations`, `models.bandit_decisions`, `gaelp_users.experiment_assignments`, `ads.ad_statuses`,
`ads.ads_change_events`, `control.drift_reports`
**Writes** `models.bandit_posteriors`, `models.bandit_rewards`, `models.bandit_decisions`, `models.ab_experiments`,
`control.validation_results`, `control.change_sets`, `control.ad_decisions`, `control.canary_changes`
**If it fails** there is no split and no proposal for today, and all ads stay as they are. Runbook `bandit_daily`.
"""

from aelp2_airflow.assets import DRIFT_CHECKED
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "bandit_daily",
    doc_md=__doc__,
    # After the drift check: nobody is asked to switch ads on data that critically drifted.
    schedule=after(DRIFT_CHECKED),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.THIS_WEEK),
    tags=[Tag.DECIDE],
):
    validate = pod("validate-tables", "--for", "fit-bandits")
    fit = pod("fit-bandits", image="learn", size="m")
    choose = pod("choose-arms", image="learn", size="m")
    plan = pod("plan-ads")
    judge = pod("judge-experiments", image="learn", size="m")

    validate >> fit >> choose >> plan
