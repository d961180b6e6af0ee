"""### Daily fidelity

Holds what the model and the applied change sets predicted against what came, and says whether predictions may be trusted.

**Reads** `ads.business_spend_daily`, `ads.business_outcomes`, `models.mmm_runs`, `models.mmm_reviews`,
`models.mmm_fit_weekly`, `models.mmm_draws`, `control.budget_proposals`, `control.canary_changes`
**Writes** `control.fidelity_evaluations`, `control.fidelity_periods`
**If it fails** today has no fidelity verdict, and what needs one does not act; plans are still made. Runbook `fidelity_daily`.
"""

from aelp2_airflow.assets import ADS_VALIDATED, PREDICTIONS_HELD
from aelp2_airflow.defaults import START, Tag, Urgency, after, default_args
from aelp2_airflow.pods import pod
from airflow.sdk import DAG

with DAG(
    "fidelity_daily",
    doc_md=__doc__,
    schedule=after(ADS_VALIDATED),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("measurement", Urgency.TODAY),
    tags=[Tag.CHECK],
):
    fidelity = pod("evaluate-fidelity", image="mmm", writes=(PREDICTIONS_HELD,))
