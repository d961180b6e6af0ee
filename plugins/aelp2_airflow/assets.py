"""The tables that one DAG writes and another DAG waits for."""

from airflow.sdk import Asset

# Written when the day's ads and outcomes passed their checks: what the drift check and watching start from.
ADS_VALIDATED = Asset("ads_validated", uri="x-aelp2://ads/ads_campaign_performance")
# Written when the day's data was compared with the weeks before: what the plans of budgets and of ads start from.
DRIFT_CHECKED = Asset("drift_checked", uri="x-aelp2://control/drift_reports")
# Written when the website's events passed their checks: what stitching, journeys and maturity start from.
GA4_VALIDATED = Asset("ga4_validated", uri="x-aelp2://ga4/ga4_events")
# Written when the day's changes were told apart, ours from others': what the success metrics start from.
CHANGES_RECONCILED = Asset("changes_reconciled", uri="x-aelp2://control/change_reconciliation")
# Written when predictions were held against what came: what the success metrics start from, too.
PREDICTIONS_HELD = Asset("predictions_held", uri="x-aelp2://control/fidelity_evaluations")
