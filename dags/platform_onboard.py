"""### Onboard a platform

Checks stored credentials of a platform and, if the form asks for it, makes a paused skeleton campaign and loads the history.

**Reads** the ad platform, `control.kill_switch`, `control.platform_skeletons` **Writes** the ad account (a paused campaign),
`control.platform_skeletons`, `ads.ads_accounts`, `ads.ads_campaign_performance`, `ads.ads_ad_performance`, `control.ingest_runs`
**If it fails** nothing serves and no budget moves: what is made is paused, and a second run finds it. Runbook `platform_onboard`.
"""

from datetime import timedelta

from aelp2_airflow import forms
from aelp2_airflow.defaults import START, Tag, Urgency, default_args
from aelp2_airflow.pods import pod, pod_each
from aelp2_airflow.wishes import WishOperator
from airflow.sdk import DAG

with DAG(
    "platform_onboard",
    doc_md=__doc__,
    schedule=None,
    start_date=START,
    catchup=False,
    max_active_runs=1,
    default_args=default_args("growth", Urgency.THIS_WEEK),
    tags=[Tag.INGEST],
    params={
        "platform": forms.platform(),
        "account": forms.account(),
        "skeleton": forms.yes_or_no("Make a skeleton", "A paused campaign, ad group and ad with UTMs; needs an account."),
        "landing_url": forms.landing_url(),
        "budget": forms.budget(20),
        "label": forms.label("start"),
        "backfill_days": forms.days(0, "Days of history", "Load the last so many days; 0: none."),
    },
):
    here = "{{ params.platform }}"
    check = pod("onboard", here, "--check", "--store", "file", dated=False, access="read", task_id="check_access")

    wants_skeleton = WishOperator(task_id="skeleton_wanted", wish="{{ params.skeleton }}")
    what = ("--account", "{{ params.account or '' }}", "--label", "{{ params.label }}")
    how = ("--landing-url", "{{ params.landing_url }}", "--budget", "{{ params.budget }}", "--apply")
    skeleton = pod("onboard", here, "--skeleton", *what, *how, dated=False, access="mutate", task_id="make_skeleton")

    wants_history = WishOperator(task_id="history_wanted", wish="{{ params.backfill_days }}")
    since = "{{ macros.ds_add(run_date(dag_run, triggering_asset_events), -(params.backfill_days | int)) }}"
    only = ("--platform", here, "--account", "{{ params.account or '' }}", "--start-date", since)
    accounts = pod("list-accounts", *only, access="read", xcom=True)
    ads = pod_each("ingest-ads", over=accounts, access="read", size="m", execution_timeout=timedelta(hours=8))

    check >> wants_skeleton >> skeleton
    check >> wants_history >> accounts
