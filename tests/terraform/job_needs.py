"""What the pods of the DAGs need, told from the code: which command runs in which role, and what it reads and writes."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from sql.job_tables import reach_of, touched

from tasks.cli import IDENTIFIED_TABLES, JOBS, NAMED_TABLES
from tasks.core.contracts import all_contracts, load_contract
from tasks.core.identifiers import id_columns
from tasks.core.warehouse.base import with_bases
from tasks.quality.gates import GATES

ROOT = Path(__file__).resolve().parents[2]
METADATA, VIEWER, EDITOR = (f"roles/bigquery.{name}" for name in ("metadataViewer", "dataViewer", "dataEditor"))
# An option that makes a command do one thing of many → the function that does it.
NARROWED = {("onboard", "--check"): "_check", ("onboard", "--skeleton"): "_skeleton"}
# Asks for the columns of every table and for no row (Warehouse.columns).
LOOKS_AT_EVERY_TABLE = {"check-deployment"}
# Calls of the warehouse that take a row in control.leases.
LEASED = {"exclusive", "insert_new"}


@dataclass(frozen=True)
class Pod:
    """A call of `pod()` or `pod_each()`."""

    file: str
    command: str
    role: str
    words: tuple[str, ...]
    has_xcom: bool


def roles() -> dict[str, str]:
    """`access` of a pod → role, as aelp2_airflow.containers says."""
    tree = ast.parse((ROOT / "plugins" / "aelp2_airflow" / "containers.py").read_text(encoding="utf-8"))
    (found,) = [n.value for n in tree.body if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "ROLES" and n.value]
    mapping: dict[str, str] = ast.literal_eval(found)
    return mapping


def pods() -> list[Pod]:
    """Every pod of every DAG, those that helpers of the plugin make included."""
    of, found = roles(), []
    for file in [*sorted((ROOT / "dags").glob("*.py")), *sorted((ROOT / "plugins").rglob("*.py"))]:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in ("pod", "pod_each")):
                continue
            keywords = {keyword.arg: keyword.value for keyword in call.keywords}
            words = tuple(ast.literal_eval(n) for n in call.args if isinstance(n, ast.Constant))
            access = ast.literal_eval(keywords["access"]) if "access" in keywords else "none"
            has_xcom = "xcom" in keywords and ast.literal_eval(keywords["xcom"])
            found.append(Pod(file.name, ast.literal_eval(call.args[0]), of[access], words[1:], bool(has_xcom)))
    return found


def tables(pod: Pod) -> tuple[set[str], set[str]]:
    """(tables read, tables written) by the pod's command, the bases of views and the leases included."""
    job = JOBS[pod.command]
    narrowed = [function for (command, word), function in NARROWED.items() if command == pod.command and word in pod.words]
    if narrowed:
        (function,) = narrowed
        reads, writes = touched(job.module, function)
    else:
        function, reads, writes = "command", set(job.reads), set(job.writes)
    if NAMED_TABLES in reads:
        gate = pod.words[pod.words.index("--for") + 1] if "--for" in pod.words else "ingest-ads"
        reads = reads - {NAMED_TABLES} | {table.name for table in GATES[gate].tables}
    for named in (reads, writes):
        if IDENTIFIED_TABLES in named:
            named -= {IDENTIFIED_TABLES}
            named |= {column.table for column in id_columns()}
    if LEASED & reach_of(job.module, function).names:
        writes = writes | {"control.leases"}
    return {contract.name for contract in with_bases(load_contract(table) for table in reads)}, writes


def dataset_needs() -> dict[str, dict[str, str]]:
    """Role → dataset → the least role of BigQuery under which its pods work."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for pod in pods():
        reads, writes = tables(pod)
        everywhere = all_contracts(views=True) if pod.command in LOOKS_AT_EVERY_TABLE else []
        wanted = [
            *((METADATA, contract.name) for contract in everywhere),
            *((VIEWER, table) for table in reads),
            *((EDITOR, table) for table in writes),
        ]
        for level, table in wanted:
            dataset = table.split(".")[0]
            found[pod.role][dataset] = max(found[pod.role].get(dataset, METADATA), level, key=(METADATA, VIEWER, EDITOR).index)
    return dict(found)


def personal_needs() -> dict[str, set[str]]:
    """Role → datasets of which its pods read or write a table with personal columns (a write reads what it merges into)."""
    found: dict[str, set[str]] = defaultdict(set)
    for pod in pods():
        for table in set().union(*tables(pod)):
            if any(field.pii for field in load_contract(table).fields):
                found[pod.role].add(table.split(".")[0])
    return dict(found)
