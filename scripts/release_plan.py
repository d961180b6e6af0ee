"""What a Terraform plan would destroy. Rows do not come back, so a person names each table that may go; a column never goes."""

import json
from collections import Counter
from collections.abc import Collection
from typing import Any

from release_tools import ReleaseError

HOLDS_ROWS = ("google_bigquery_table", "google_bigquery_dataset")


def _name(change: dict[str, Any]) -> str:
    """`dataset.table` of a table, `dataset` of a dataset."""
    before = change["change"].get("before") or {}
    return ".".join(str(before[key]) for key in ("dataset_id", "table_id") if before.get(key)) or str(change["address"])


def destroyed(plan: dict[str, Any]) -> dict[str, str]:
    """Table or dataset → what would happen to it, for all that would be deleted or replaced."""
    found = {}
    for change in plan.get("resource_changes", []):
        actions = change["change"]["actions"]
        if change["type"] in HOLDS_ROWS and "delete" in actions:
            found[_name(change)] = "replaced" if "create" in actions else "deleted"
    return found


def lost_columns(plan: dict[str, Any]) -> list[str]:
    """`dataset.table.column` of all that an update would drop: the provider does that in place, and no protection of Terraform
    holds it up, for the table itself stays."""
    found = []
    for change in plan.get("resource_changes", []):
        actions = change["change"]["actions"]
        if change["type"] != "google_bigquery_table" or "update" not in actions:
            continue
        before, after = (_columns(change["change"].get(side) or {}) for side in ("before", "after"))
        if after is not None:  # a schema is unknown where the plan makes the policy tag it names; going back makes none
            found += [f"{_name(change)}.{column}" for column in before or () if column not in after]
    return sorted(found)


def _columns(table: dict[str, Any]) -> list[str] | None:
    """The columns of a table on one side of the plan; None for a view, or where they are not known yet."""
    if table.get("view") or not table.get("schema"):
        return None
    return [column["name"] for column in json.loads(table["schema"])]


def summary(plan: dict[str, Any]) -> str:
    """How many resources of each kind of change."""
    kinds: Counter[str] = Counter()
    for change in plan.get("resource_changes", []):
        actions = [action for action in change["change"]["actions"] if action not in ("no-op", "read")]
        if actions:
            kinds["replace" if len(actions) > 1 else actions[0]] += 1
    return ", ".join(f"{count} to {kind}" for kind, count in sorted(kinds.items())) or "nothing to change"


def check(text: str, allowed: Collection[str]) -> str:
    """The summary of the plan that `terraform show -json` printed; ReleaseError if it destroys what ``allowed`` does not name."""
    plan = json.loads(text)
    if plan.get("errored"):
        raise ReleaseError("the plan is incomplete, because planning ended with an error; nothing is applied")
    going = destroyed(plan)
    if surplus := sorted(set(allowed) - set(going)):
        raise ReleaseError(f"--allow-destroy names {', '.join(surplus)}, which the plan does not destroy; leave the name out")
    if refused := sorted(set(going) - set(allowed)):
        listed = ", ".join(f"{name} ({going[name]})" for name in refused)
        raise ReleaseError(
            f"the plan would destroy what holds rows: {listed}. An incompatible change is a new table with the suffix _v2 "
            "(CONTRIBUTING.md). "
            f"If the rows may go: {' '.join(f'--allow-destroy {name}' for name in refused)}; Terraform's deletion_protection and "
            "prevent_destroy must be lifted in a commit before"
        )
    if lost := lost_columns(plan):
        raise ReleaseError(
            f"the plan would drop columns with what they hold: {', '.join(lost)}. A column that is out stays in its table.yaml; "
            "to go back to an earlier release, leave include/sql as it is (docs/runbooks/rollback.md)"
        )
    return summary(plan)
