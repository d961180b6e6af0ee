"""### Daily budget plan

Proposes small budget steps towards the optimum of the live MMM, within every cap. Changes nothing at the platforms.

**Reads** `models.mmm_runs`, `models.mmm_draws`, `models.mmm_reviews`, `ads.campaign_budgets`, `ads.ads_campaign_performance`,
`ads.ads_change_events`, `ads.business_outcomes`, `control.canary_changes`
**Writes** `control.change_sets`, `control.budget_proposals`, `control.plan_decisions`, `control.canary_changes`
**If it fails** there is nothing to approve today and all budgets stay; the task's last line says which check or which constraint
stopped it. Runbook `budget_plan_daily`.
"""

from aelp2_airflow.assets import DRIFT_CHECKED
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "budget_plan_daily",
    doc_md=__doc__,
    schedule=after(DRIFT_CHECKED),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.TODAY),
    tags=[Tag.DECIDE],
):
    validate = pod("validate-tables", "--for", "plan-budgets")
    plan = pod("plan-budgets", image="mmm", size="m")

    validate >> plan
