"""What the warehouse says about one change set's day, as JSON on stdout. Runs in the jobs' environment; the loop prints it."""

import argparse
import json
import sys
from datetime import date
from typing import Any

from tasks.core.settings import load_settings
from tasks.core.warehouse import open_warehouse

_QUERIES = {
    "proposals": """
        SELECT change_set_id, change_id, budget_id, channel, currency_code, amount_before_micros, amount_after_micros, reason,
               binding_constraint, expected_new_customers_mean, p_cac_le_target
        FROM control.budget_proposals WHERE run_date = @run_date ORDER BY budget_id""",
    "held": """
        SELECT budget_id, `constraint`, detail FROM control.plan_decisions
        WHERE run_date = @run_date AND decision = 'hold' ORDER BY account_id, budget_id""",
    "ads": """
        SELECT adgroup_id, ad_id, decision, `constraint`, detail FROM control.ad_decisions
        WHERE run_date = @run_date ORDER BY adgroup_id, ad_id""",
    "change_sets": "SELECT change_set_id, sha256 FROM control.change_sets WHERE run_date = @run_date",
    "approvals": """
        SELECT a.change_set_id, a.sha256, a.decision, a.approver
        FROM control.approvals AS a JOIN control.change_sets AS s ON s.change_set_id = a.change_set_id
        WHERE s.run_date = @run_date""",
    "ledger": """
        SELECT c.seq, c.event, c.change_id, c.amount_before_micros, c.amount_after_micros, c.ad_id,
               c.status_before, c.status_after, c.request_id
        FROM control.canary_changes AS c JOIN control.change_sets AS s ON s.change_set_id = c.change_set_id
        WHERE s.run_date = @run_date ORDER BY c.seq""",
    "watch": """
        SELECT w.* FROM control.canary_watch AS w JOIN control.change_sets AS s ON s.change_set_id = w.change_set_id
        WHERE s.run_date = @run_date""",
}
_TABLES = ("budget_proposals", "plan_decisions", "ad_decisions", "change_sets", "approvals", "canary_changes", "canary_watch")


def facts(run_date: date) -> dict[str, list[dict[str, Any]]]:
    """Query name → rows."""
    warehouse = open_warehouse(load_settings())
    for table in _TABLES:
        warehouse.create(f"control.{table}")  # a run that was rejected never wrote some of them
    return {name: warehouse.query(sql, {"run_date": run_date}).to_dicts() for name, sql in _QUERIES.items()}


def main() -> None:
    """Print the facts of ``--run-date``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-date", required=True, type=date.fromisoformat, help="run date of the plan, YYYY-MM-DD")
    json.dump(facts(parser.parse_args().run_date), sys.stdout, default=str)


if __name__ == "__main__":
    main()
