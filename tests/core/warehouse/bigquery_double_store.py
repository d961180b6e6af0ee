"""What the BigQuery double keeps: tables in DuckDB, their REST resources as JSON beside them, jobs in memory."""

from __future__ import annotations

import json
import random
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from tasks.core.errors import JobError
from tasks.core.warehouse.dialect import rewrite, to_duckdb
from tasks.core.warehouse.duckdb import result_type
from tasks.core.warehouse.parameters import ParameterType

_COLUMN = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMPTZ",
}
_RESULT = {
    "VARCHAR": "STRING",
    "BIGINT": "INTEGER",
    "DOUBLE": "FLOAT",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
}
_REPLIES: dict[str, type] = {"INT64": int, "FLOAT64": float, "STRING": str}
_UNCLUSTERABLE = {"FLOAT"}
_MAX_CLUSTERED = 4
_LABEL = re.compile(r"[a-z0-9_-]{0,63}")


class WireError(Exception):
    """An error in Google's format: HTTP status, reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason

    def detail(self) -> dict[str, str]:
        return {"reason": self.reason, "message": str(self), "domain": "global", "location": "query"}

    def body(self) -> dict[str, Any]:
        return {"error": {"code": self.status, "message": str(self), "errors": [self.detail()]}}


def _name(*parts: str) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


class Store:
    """All state of the double; every public method holds one lock, so statements never overlap.

    With ``statements`` every statement and the types of its parameters are written there, one JSON object a line.
    """

    def __init__(self, path: str, statements: Path | None = None) -> None:
        self._statements = statements
        self._db = duckdb.connect(path)
        self._do("SET TimeZone='UTC'")
        self._do("CREATE SCHEMA IF NOT EXISTS _double")
        self._do("CREATE TABLE IF NOT EXISTS _double.resources (dataset VARCHAR, name VARCHAR, resource VARCHAR)")
        self._jobs: dict[str, dict[str, Any]] = {}
        self._rows: dict[str, tuple[list[dict[str, Any]], list[Any]]] = {}
        self._lock = threading.RLock()

    def _do(self, sql: str, params: list[object] | dict[str, object] | None = None) -> list[tuple[Any, ...]]:
        return list(self._db.execute(sql, params or []).fetchall())

    def dataset(self, project: str, dataset: str) -> dict[str, Any]:
        with self._lock:
            if not self._do("SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?", [dataset]):
                raise WireError(404, "notFound", f"Not found: Dataset {project}:{dataset}")
            return {"kind": "bigquery#dataset", "datasetReference": {"projectId": project, "datasetId": dataset}}

    def create_dataset(self, project: str, dataset: str) -> dict[str, Any]:
        with self._lock:
            if self._do("SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?", [dataset]):
                raise WireError(409, "duplicate", f"Already Exists: Dataset {project}:{dataset}")
            self._do(f"CREATE SCHEMA {_name(dataset)}")
            return self.dataset(project, dataset)

    def table(self, project: str, dataset: str, table: str) -> dict[str, Any]:
        with self._lock:
            rows = self._do("SELECT resource FROM _double.resources WHERE dataset = ? AND name = ?", [dataset, table])
            if not rows:
                raise WireError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}")
            resource: dict[str, Any] = json.loads(rows[0][0]) | {"numRows": str(self._count(dataset, table))}
            if resource["type"] == "VIEW":
                resource["schema"] = {"fields": self._view_fields(dataset, table)}
            if int(resource.get("expirationTime", "9" * 15)) < time.time() * 1000:
                self.delete_table(project, dataset, table)
                raise WireError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}")
            return resource

    def _view_fields(self, dataset: str, table: str) -> list[dict[str, Any]]:
        described = self._do(f"DESCRIBE {_name(dataset, table)}")
        return [_schema(row[0], result_type(str(row[1]))) for row in described]

    def _count(self, dataset: str, table: str) -> int:
        return int(self._do(f"SELECT COUNT(*) FROM {_name(dataset, table)}")[0][0])

    def tables(self, project: str, dataset: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of the dataset's tables by name; pages are short, so that a reader of one page only is found out."""
        with self._lock:
            self.dataset(project, dataset)
            names = [
                name for (name,) in self._do("SELECT name FROM _double.resources WHERE dataset = ? ORDER BY name", [dataset])
            ]
            start = int(query.get("pageToken") or 0)
            page = names[start : start + min(int(query.get("maxResults", 5)), 5)]
            items = [{"tableReference": {"projectId": project, "datasetId": dataset, "tableId": name}} for name in page]
            more = {"nextPageToken": str(start + len(page))} if start + len(page) < len(names) else {}
            return {"kind": "bigquery#tableList", "tables": items, "totalItems": len(names), **more}

    def create_table(self, project: str, dataset: str, resource: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.dataset(project, dataset)
            table = resource["tableReference"]["tableId"]
            if self._do("SELECT 1 FROM _double.resources WHERE dataset = ? AND name = ?", [dataset, table]):
                raise WireError(409, "duplicate", f"Already Exists: Table {project}:{dataset}.{table}")
            if "view" in resource:
                return self._create_view(project, dataset, table, resource)
            fields = resource["schema"]["fields"]
            _check_layout(resource)
            columns = ", ".join(
                _name(f["name"]) + " " + _type(f) + (" NOT NULL" if f.get("mode") == "REQUIRED" else "") for f in fields
            )
            self._do(f"CREATE TABLE {_name(dataset, table)} ({columns})")
            resource = {**resource, "kind": "bigquery#table", "type": "TABLE", "etag": "1"}
            self._do("INSERT INTO _double.resources VALUES (?, ?, ?)", [dataset, table, json.dumps(resource)])
            return resource

    def _create_view(self, project: str, dataset: str, table: str, resource: dict[str, Any]) -> dict[str, Any]:
        self._make_view(project, dataset, table, resource["view"])
        resource = {**resource, "kind": "bigquery#table", "type": "VIEW", "etag": "1"}
        self._do("INSERT INTO _double.resources VALUES (?, ?, ?)", [dataset, table, json.dumps(resource)])
        return resource

    def _make_view(self, project: str, dataset: str, table: str, view: Mapping[str, Any]) -> None:
        """The view in DuckDB. A view keeps no default project, so each table of its text must name one."""
        if view.get("useLegacySql", True):
            raise WireError(400, "invalidQuery", "the double has no legacy SQL; send useLegacySql false")
        tree = sqlglot.parse_one(view["query"], dialect="bigquery")
        names = {cte.alias for cte in tree.find_all(exp.CTE)}
        for node in tree.find_all(exp.Table):
            if node.name in names and not node.db:
                continue
            if node.catalog != project:
                raise WireError(400, "invalid", f"Table {node.sql('bigquery')} must be qualified with a project")
            node.set("catalog", None)
        self._do(f"CREATE OR REPLACE VIEW {_name(dataset, table)} AS {to_duckdb(tree.sql('bigquery')).sql}")

    def patch_table(self, project: str, dataset: str, table: str, patch: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            resource = self.table(project, dataset, table)
            if "schema" in patch:
                before = {field["name"]: field for field in resource["schema"]["fields"]}
                after = {field["name"]: field for field in patch["schema"]["fields"]}
                if set(before) - set(after):
                    raise WireError(
                        400, "invalid", f"Provided Schema does not match Table: missing {sorted(set(before) - set(after))}"
                    )
                for name in after:
                    if name not in before:
                        if after[name].get("mode") == "REQUIRED":
                            raise WireError(400, "invalid", f"Cannot add required fields to an existing schema. (field: {name})")
                        self._do(f"ALTER TABLE {_name(dataset, table)} ADD COLUMN {_name(name)} {_type(after[name])}")
            if "view" in patch:
                self._make_view(project, dataset, table, patch["view"])
            resource.update(patch)
            self._do(
                "UPDATE _double.resources SET resource = ? WHERE dataset = ? AND name = ?", [json.dumps(resource), dataset, table]
            )
            return resource

    def delete_table(self, project: str, dataset: str, table: str) -> None:
        with self._lock:
            if not self._do("SELECT 1 FROM _double.resources WHERE dataset = ? AND name = ?", [dataset, table]):
                raise WireError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}")
            self._do(f"DROP {self.table(project, dataset, table)['type']} {_name(dataset, table)}")
            self._do("DELETE FROM _double.resources WHERE dataset = ? AND name = ?", [dataset, table])

    def job(self, project: str, job: str) -> dict[str, Any]:
        if job not in self._jobs:
            raise WireError(404, "notFound", f"Not found: Job {project}:{job}")
        return self._jobs[job]

    def insert_job(self, project: str, resource: dict[str, Any], content: bytes | None) -> dict[str, Any]:
        """Run the job to its end; an error of the statement is in the job's status, as on BigQuery."""
        with self._lock:
            job = resource["jobReference"]["jobId"]
            if job in self._jobs:
                raise WireError(409, "duplicate", f"Already Exists: Job {project}:{job}")
            configuration = resource["configuration"]
            statistics: dict[str, Any] = {"creationTime": str(int(time.time() * 1000))}
            status: dict[str, Any] = {"state": "DONE"}
            self._db.begin()
            try:
                if "load" in configuration:
                    statistics["load"] = self._load(project, configuration["load"], content or b"")
                else:
                    statistics["query"] = self._query(job, configuration["query"])
                self._db.commit()
            except (WireError, duckdb.Error, JobError) as error:
                self._db.rollback()
                known = error if isinstance(error, WireError) else WireError(400, "invalidQuery", str(error))
                status |= {"errorResult": known.detail(), "errors": [known.detail()]}
            self._jobs[job] = {
                "kind": "bigquery#job",
                "id": f"{project}:US.{job}",
                "jobReference": {"projectId": project, "jobId": job, "location": "US"},
                "configuration": configuration,
                "status": status,
                "statistics": statistics,
            }
            return self._jobs[job]

    def _load(self, project: str, config: Mapping[str, Any], content: bytes) -> dict[str, Any]:
        if config["sourceFormat"] != "PARQUET":
            raise WireError(400, "invalid", f"the double loads PARQUET, not {config['sourceFormat']}")
        reference = config["destinationTable"]
        fields = self.table(project, reference["datasetId"], reference["tableId"])["schema"]["fields"]
        target = _name(reference["datasetId"], reference["tableId"])
        _check_load_schema(config, fields)
        if config.get("writeDisposition") == "WRITE_TRUNCATE":
            self._do(f"DELETE FROM {target}")
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            file.write(content)
            file.flush()
            found = {name: kind for name, kind, *_ in self._do("DESCRIBE SELECT * FROM read_parquet(?)", [file.name])}
            _check_parquet(found, fields)
            columns = ", ".join(_name(name) for name in found)
            rows = self._do(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM read_parquet(?)", [file.name])
        return {"outputRows": str(rows[0][0]), "inputFiles": "1"}

    def _query(self, job: str, config: Mapping[str, Any]) -> dict[str, Any]:
        tree = sqlglot.parse_one(config["query"], dialect="bigquery")
        given = {p["name"]: _parameter(p) for p in config.get("queryParameters", [])}
        self._note(config["query"], given)
        missing = sorted({node.name for node in tree.find_all(exp.Parameter)} - set(given))
        if missing:
            raise WireError(400, "invalidQuery", f"Query parameter '{missing[0]}' not found")
        if isinstance(tree, exp.Query):
            return self._select(job, config["query"], {name: value for name, (_, value) in given.items()})
        if not isinstance(tree, exp.Merge | exp.Update | exp.Delete | exp.Insert):
            raise WireError(400, "invalidQuery", f"the double does not run {tree.key.upper()}")
        if isinstance(tree, exp.Update | exp.Delete) and tree.args.get("where") is None:
            raise WireError(400, "invalidQuery", f"{tree.key.upper()} must have a WHERE clause")
        translated = rewrite(tree, {name: kind for name, (kind, _) in given.items()})
        counts = {"INSERT": 0, "UPDATE": 0, "DELETE": 0}
        values = {name: value for name, (_, value) in given.items()}
        if isinstance(tree, exp.Merge):
            self._check_single_match(translated, values)
            counts |= Counter(action for (action,) in self._do(f"{translated.sql('duckdb')} RETURNING merge_action", values))
        else:
            counts[tree.key.upper()] = self._do(translated.sql("duckdb"), values)[0][0]
        self._rows[job] = ([], [])
        return {
            "statementType": tree.key.upper(),
            "numDmlAffectedRows": str(sum(counts.values())),
            "dmlStats": {
                "insertedRowCount": str(counts["INSERT"]),
                "updatedRowCount": str(counts["UPDATE"]),
                "deletedRowCount": str(counts["DELETE"]),
            },
        }

    def _check_single_match(self, merge: exp.Expr, values: dict[str, object]) -> None:
        """DuckDB's MERGE updates a row twice if two source rows match it; BigQuery refuses the statement."""
        if not any(when.args["matched"] for when in merge.args["whens"].expressions):
            return
        target, source, on = (merge.args[part].sql("duckdb") for part in ("this", "using", "on"))
        pairs, rows = self._do(
            f"SELECT (SELECT COUNT(*) FROM {target} JOIN {source} ON {on}), "
            f"(SELECT COUNT(*) FROM {target} WHERE EXISTS (SELECT 1 FROM {source} WHERE {on}))",
            values,
        )[0]
        if pairs > rows:
            raise WireError(400, "invalidQuery", "UPDATE/MERGE must match at most one source row for each target row")

    def _note(self, sql: str, given: Mapping[str, tuple[ParameterType, object]]) -> None:
        if self._statements is not None:
            types = {name: f"ARRAY<{kind.name}>" if kind.is_array else kind.name for name, (kind, _) in given.items()}
            with self._statements.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"sql": sql, "types": types}) + "\n")

    def _select(self, job: str, sql: str, values: dict[str, object]) -> dict[str, Any]:
        relation = self._db.sql(_export_query(sql) or to_duckdb(sql, values).sql, params=values)
        fields = [_schema(name, result_type(str(kind))) for name, kind in zip(relation.columns, relation.types, strict=True)]
        if len({column.lower() for column in relation.columns}) < len(relation.columns):
            raise WireError(400, "invalidQuery", "Duplicate column names in the result are not supported")
        rows = relation.fetchall()
        if sqlglot.parse_one(sql, dialect="bigquery").args.get("order") is None:
            random.Random(len(rows)).shuffle(rows)  # BigQuery promises no order without ORDER BY; nobody may rely on one
        self._rows[job] = (fields, [{"f": [{"v": _cell(value)} for value in row]} for row in rows])
        return {"statementType": "SELECT", "totalBytesProcessed": "0"}

    def results(self, project: str, job: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page of a finished query; its error as an HTTP error."""
        resource = self.job(project, job)
        if "errorResult" in resource["status"]:
            detail = resource["status"]["errorResult"]
            raise WireError(400, detail["reason"], detail["message"])
        fields, rows = self._rows[job]
        start = int(query.get("pageToken") or query.get("startIndex") or 0)
        end = start + min(int(query.get("maxResults", 10_000)), 10_000)
        page = {
            "kind": "bigquery#getQueryResultsResponse",
            "jobReference": resource["jobReference"],
            "jobComplete": True,
            "schema": {"fields": fields},
            "totalRows": str(len(rows)),
            "rows": rows[start:end],
        }
        affected = resource["statistics"]["query"].get("numDmlAffectedRows")
        return (
            page | ({"numDmlAffectedRows": affected} if affected else {}) | ({"pageToken": str(end)} if end < len(rows) else {})
        )


def _invalid(message: str) -> WireError:
    return WireError(400, "invalid", message)


def _check_layout(resource: Mapping[str, Any]) -> None:
    """Refuse names, labels, partitions and clusters that BigQuery refuses."""
    fields = {field["name"]: field for field in resource["schema"]["fields"]}
    if len({name.lower() for name in fields}) < len(resource["schema"]["fields"]):
        raise _invalid("Duplicate field names; names differ in case only or not at all")
    for label in (text for pair in (resource.get("labels") or {}).items() for text in pair):
        if not _LABEL.fullmatch(label):
            raise _invalid(f"Label {label!r} may hold lower-case letters, digits, _ and - only")
    partition = (resource.get("timePartitioning") or {}).get("field")  # the client writes what is not set as null
    if partition and (partition not in fields or fields[partition]["type"] not in ("DATE", "TIMESTAMP")):
        raise _invalid(f"The field specified for partitioning cannot be used: {partition}")
    clustered = (resource.get("clustering") or {}).get("fields") or []
    if len(clustered) > _MAX_CLUSTERED:
        raise _invalid(f"{len(clustered)} clustering fields; {_MAX_CLUSTERED} are allowed")
    for name in clustered:
        if name not in fields or fields[name]["type"] in _UNCLUSTERABLE or fields[name].get("mode") == "REPEATED":
            raise _invalid(f"The field specified for clustering cannot be used: {name}")


def _check_load_schema(config: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a load whose own schema is not the table's."""
    held = {field["name"]: (field["type"], field.get("mode", "NULLABLE")) for field in fields}
    for field in config.get("schema", {}).get("fields", []):
        given = (field["type"], field.get("mode", "NULLABLE"))
        if held.get(field["name"]) != given:
            raise _invalid(
                f"Provided Schema does not match Table. Field {field['name']} is {given}, not {held.get(field['name'])}"
            )
    if any(field.get("mode") == "REPEATED" for field in fields) and not config.get("parquetOptions", {}).get(
        "enableListInference"
    ):
        raise _invalid("without enableListInference a list column of Parquet is a nested record and not an array")


def _check_parquet(found: Mapping[str, str], fields: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a file whose columns are not those of the table: BigQuery casts nothing in a Parquet load."""
    held = {field["name"]: field for field in fields}
    for name, kind in found.items():
        if name not in held:
            raise _invalid(f"Provided Schema does not match Table. Cannot add fields (field: {name})")
        wanted = _type(held[name]).replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
        if kind.replace('"', "") != wanted:  # DuckDB writes fields called like a keyword in quotes
            raise _invalid(f"Parquet column '{name}' has type {kind} which does not match the target type {wanted}")
    lacking = [name for name, field in held.items() if field.get("mode") == "REQUIRED" and name not in found]
    if lacking:
        raise _invalid(f"Provided Schema does not match Table. Required field {lacking[0]} is missing")


def _type(field: Mapping[str, Any]) -> str:
    kind = _COLUMN.get(field["type"], "")
    if field["type"] == "RECORD":
        kind = f"STRUCT({', '.join(f'{part["name"]} {_type(part)}' for part in field['fields'])})"
    return kind + ("[]" if field.get("mode") == "REPEATED" else "")


def _export_query(sql: str) -> str | None:
    """DuckDB SQL of a query on tables outside of the warehouse, which it names with their project; None for any other.

    The product's dialect layer knows contract tables only, and for DuckDB the product writes the lookups of the export otherwise:
    here it is sqlglot's own translation, correlated subqueries and all.
    """
    tree = sqlglot.parse_one(sql, dialect="bigquery")
    outside = [table for table in tree.find_all(exp.Table) if table.catalog]
    for table in outside:
        table.set("catalog", None)
    return tree.sql("duckdb", comments=False) if outside else None


def _schema(name: str, kind: str) -> dict[str, Any]:
    repeated = kind.endswith("[]")
    if kind.removesuffix("[]") not in _RESULT:
        raise WireError(400, "invalidQuery", f"the double has no BigQuery type for column {name} of {kind}")
    return {"name": name, "type": _RESULT[kind.removesuffix("[]")], "mode": "REPEATED" if repeated else "NULLABLE"}


def _cell(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [{"v": _cell(element)} for element in value]
    if isinstance(value, datetime):
        elapsed = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return str((elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds)
    if isinstance(value, date):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


def _value(kind: str, text: str) -> object:
    if kind == "BOOL":
        return text == "true"
    if kind == "DATE":
        return date.fromisoformat(text)
    if kind == "TIMESTAMP":
        return datetime.fromisoformat(text.replace(" UTC", "+00:00")).astimezone(UTC)
    return _REPLIES[kind](text)


def _parameter(parameter: Mapping[str, Any]) -> tuple[ParameterType, object]:
    kind, value = parameter["parameterType"], parameter["parameterValue"]
    if kind["type"] == "ARRAY":
        element = kind["arrayType"]["type"]
        return ParameterType(element, is_array=True), [_value(element, item["value"]) for item in value.get("arrayValues", [])]
    return ParameterType(kind["type"]), _value(kind["type"], value["value"])
