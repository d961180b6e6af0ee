"""Which tables each job reads and writes, told from the functions its command can reach.

Reached is every function whose name is used in reached code, and every method of a class that is used there if its name is
used there too. A method named like one of Python's own containers (``append``) counts only on a receiver named like its class.
Leases (control.leases) belong to the warehouse and are left out.
"""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass, field

from sql.call_sites import NOT_SQL, READS, ROOT, Function, all_sites, tree_of

from tasks.core.contracts import SQL_ROOT
from tasks.core.warehouse.dialect import parse_select, tables_of
from tasks.ingest import import_csv, report_load

CONTAINERS = {name for kind in (list, dict, set, str) for name in dir(kind)}
# What the calls of unknown arguments touch. The gate reads the tables its --for names, so it has no list of its own.
DYNAMIC_READS: dict[str, tuple[str, ...]] = {
    "tasks.core.ledger:Ledger._select": ("control.canary_changes",),
    # Deletion finds its tables in the contracts; tests/identity/test_forget.py holds that it finds every one.
    "tasks.identity.forgetting:count_rows": (),
    "tasks.identity.forgetting:forget_rows_as_json": (),
    "tasks.identity.forgetting:sweep_table": (),
    "tasks.ingest.import_csv:replace_source": import_csv.TABLES,
    "tasks.quality.table_checks:_ask": (),
    "tasks.quality.table_checks:TableGate._fresh": (),
}
DYNAMIC_WRITES: dict[str, tuple[str, ...]] = {
    "tasks.identity.forgetting:delete_rows": (),
    "tasks.identity.forgetting:forget_rows_as_json": (),
    "tasks.identity.forgetting:sweep_table": (),
    "tasks.ingest.ads_load:Load._write": (
        "ads.ads_campaign_performance",
        "ads.ads_ad_performance",
        "ads.ads_criterion_performance",
        "ads.ads_action_performance",
        "ads.ads_breakdown_performance",
        "ads.ads_conversion_action_stats",
        "ads.ads_change_events",
        "ads.ads_entities",
        "ads.campaign_budgets",
        "ads.ad_statuses",
    ),
    "tasks.ingest.import_csv:replace_source": import_csv.TABLES,
    "tasks.ingest.report_load:write": report_load.TABLES,
    "tasks.ingest.outcomes_load:OutcomesLoad._load": ("ads.business_outcomes", "ads.business_controls"),
}
Definition = Function | ast.ClassDef


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@functools.cache
def _definitions(module: str) -> dict[str, ast.stmt]:
    """Functions, classes and constants at the top of ``module``."""
    found: dict[str, ast.stmt] = {}
    for node in tree_of(module).body:
        if isinstance(node, Definition):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
    return found


@functools.cache
def _imports(module: str) -> dict[str, tuple[str, str]]:
    """Name → (module, name in it, or "" for a module) of every import from tasks in ``module``, wherever it stands."""
    found = {}
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tasks"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found[alias.asname or alias.name] = (inner, "") if _is_module(inner) else (str(node.module), alias.name)
    return found


@dataclass
class Reach:
    """Grows from a command until nothing new is reached."""

    places: set[str] = field(default_factory=set)
    classes: set[tuple[str, str]] = field(default_factory=set)
    calls: set[tuple[str, str]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)

    def add(self, module: str, name: str) -> None:
        """Reach what ``name`` means in ``module``."""
        if module.startswith(NOT_SQL):
            return
        node = _definitions(module).get(name)
        if node is None:
            other = _imports(module).get(name)
            if other and other[1]:
                self.add(*other)
            return
        place = f"{module}:{name}"
        if place in self.places:
            return
        self.places.add(place)
        if isinstance(node, ast.ClassDef):
            self.classes.add((module, name))
            for inner in node.body:
                if not isinstance(inner, Function):
                    self.walk(module, inner)
        else:
            self.walk(module, node)

    def walk(self, module: str, node: ast.AST) -> None:
        """Reach all that ``node`` names."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name):
                self.add(module, part.id)
            elif isinstance(part, ast.Attribute):
                receiver = part.value
                other = _imports(module).get(receiver.id) if isinstance(receiver, ast.Name) else None
                if other and not other[1]:
                    self.add(other[0], part.attr)
                last = ast.unparse(receiver.func if isinstance(receiver, ast.Call) else receiver).split(".")[-1]
                self.calls.add((last.strip("_").casefold(), part.attr))
                self.names.add(part.attr)

    def methods(self) -> None:
        """Reach the methods of reached classes that reached code calls."""
        grown = True
        while grown:
            before = len(self.places), len(self.calls)
            for module, name in sorted(self.classes):
                node = _definitions(module)[name]
                assert isinstance(node, ast.ClassDef)
                for inner in node.body:
                    if isinstance(inner, Function) and self._is_called(name, inner.name):
                        self.places.add(f"{module}:{name}.{inner.name}")
                        self.walk(module, inner)
            grown = before != (len(self.places), len(self.calls))

    def _is_called(self, owner: str, method: str) -> bool:
        if method in CONTAINERS and not method.startswith("__"):
            return bool({(owner.casefold(), method), ("self", method)} & self.calls)
        return method.startswith("__") or method in self.names


@functools.cache
def reach_of(module: str, function: str = "command") -> Reach:
    """All that ``function`` can run; without it the job in ``module``."""
    reach = Reach()
    reach.add(module, function)
    reach.methods()
    return reach


def reached(module: str) -> set[str]:
    """``module:function`` of all that the job in ``module`` can run."""
    return reach_of(module).places


def touched(module: str, function: str = "command") -> tuple[set[str], set[str]]:
    """(tables read, tables written) by ``function``; without it by the job in ``module``."""
    places = reach_of(module, function).places
    reads: set[str] = set()
    writes: set[str] = set()
    for site in all_sites():
        if site.place not in places:
            continue
        if site.kind not in READS:
            writes |= set(site.values or DYNAMIC_WRITES[site.place])
        elif not site.values:
            reads |= set(DYNAMIC_READS[site.place])
        for value in site.values if site.kind in READS else ():
            sql = (SQL_ROOT / value).read_text(encoding="utf-8") if site.kind == "query_file" else value
            reads |= set(tables_of(parse_select(sql)))
    return reads, writes
