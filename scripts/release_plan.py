"""What a Terraform plan would destroy. Rows of a table do not come back, so a person names each table that may go."""

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


def _columns(state: dict[str, Any] | None) -> list[str] | None:
    """The columns of a table in a state; None where it has no schema, or one that is known after the apply only."""
    schema = (state or {}).get("schema")
    return [column["name"] for column in json.loads(schema)] if schema else None


def _lost_columns(change: dict[str, Any]) -> list[str]:
    """Columns that an update takes out of a table.

    The provider drops them in place: to Terraform that is no destroying, so deletion_protection and prevent_destroy let it pass.
    """
    before, after = _columns(change["change"].get("before")), _columns(change["change"].get("after"))
    return [name for name in before if name not in after] if before and after is not None else []


def destroyed(plan: dict[str, Any]) -> dict[str, str]:
    """Table or dataset → what would happen to it, for all that would be deleted, replaced or lose a column."""
    found = {}
    for change in plan.get("resource_changes", []):
        actions = change["change"]["actions"]
        if change["type"] not in HOLDS_ROWS:
            continue
        if "delete" in actions:
            found[_name(change)] = "replaced" if "create" in actions else "deleted"
        elif lost := _lost_columns(change):
            found[_name(change)] = f"loses {', '.join(lost)}"
    return found


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
            "(CONTRIBUTING.md); going back keeps columns (docs/runbooks/rollback.md). "
            f"If the rows may go: {' '.join(f'--allow-destroy {name}' for name in refused)}; Terraform's deletion_protection and "
            "prevent_destroy must be lifted in a commit before"
        )
    return summary(plan)
