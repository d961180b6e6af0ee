"""What the BigQuery double keeps: tables in DuckDB, their REST resources as JSON beside them, jobs in memory."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime
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
    """All state of the double; every public method holds one lock, so statements never overlap."""

    def __init__(self, path: str) -> None:
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
            resource: dict[str, Any] = json.loads(rows[0][0])
            if int(resource.get("expirationTime", "9" * 15)) < time.time() * 1000:
                self.delete_table(project, dataset, table)
                raise WireError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}")
            return resource

    def create_table(self, project: str, dataset: str, resource: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.dataset(project, dataset)
            table = resource["tableReference"]["tableId"]
            if self._do("SELECT 1 FROM _double.resources WHERE dataset = ? AND name = ?", [dataset, table]):
                raise WireError(409, "duplicate", f"Already Exists: Table {project}:{dataset}.{table}")
            fields = resource["schema"]["fields"]
            columns = ", ".join(
                _name(f["name"]) + " " + _type(f) + (" NOT NULL" if f.get("mode") == "REQUIRED" else "") for f in fields
            )
            self._do(f"CREATE TABLE {_name(dataset, table)} ({columns})")
            resource = {**resource, "kind": "bigquery#table", "type": "TABLE", "etag": "1"}
            self._do("INSERT INTO _double.resources VALUES (?, ?, ?)", [dataset, table, json.dumps(resource)])
            return resource

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
            resource.update(patch)
            self._do(
                "UPDATE _double.resources SET resource = ? WHERE dataset = ? AND name = ?", [json.dumps(resource), dataset, table]
            )
            return resource

    def delete_table(self, project: str, dataset: str, table: str) -> None:
        with self._lock:
            if not self._do("SELECT 1 FROM _double.resources WHERE dataset = ? AND name = ?", [dataset, table]):
                raise WireError(404, "notFound", f"Not found: Table {project}:{dataset}.{table}")
            self._do(f"DROP TABLE {_name(dataset, table)}")
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
        if config.get("writeDisposition") == "WRITE_TRUNCATE":
            self._do(f"DELETE FROM {target}")
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            file.write(content)
            file.flush()
            columns = ", ".join(_name(field["name"]) for field in fields)
            rows = self._do(f"INSERT INTO {target} ({columns}) SELECT {columns} FROM read_parquet(?)", [file.name])
        return {"outputRows": str(rows[0][0]), "inputFiles": "1"}

    def _query(self, job: str, config: Mapping[str, Any]) -> dict[str, Any]:
        tree = sqlglot.parse_one(config["query"], dialect="bigquery")
        given = {p["name"]: _parameter(p) for p in config.get("queryParameters", [])}
        if isinstance(tree, exp.Query):
            return self._select(job, config["query"], {name: value for name, (_, value) in given.items()})
        if not isinstance(tree, exp.Merge | exp.Update | exp.Delete | exp.Insert):
            raise WireError(400, "invalidQuery", f"the double does not run {tree.key.upper()}")
        translated = rewrite(tree, {name: kind for name, (kind, _) in given.items()})
        counts = {"INSERT": 0, "UPDATE": 0, "DELETE": 0}
        values = {name: value for name, (_, value) in given.items()}
        if isinstance(tree, exp.Merge):
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

    def _select(self, job: str, sql: str, values: dict[str, object]) -> dict[str, Any]:
        relation = self._db.sql(to_duckdb(sql, values).sql, params=values)
        fields = [_schema(name, result_type(str(kind))) for name, kind in zip(relation.columns, relation.types, strict=True)]
        self._rows[job] = (fields, [{"f": [{"v": _cell(value)} for value in row]} for row in relation.fetchall()])
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


def _type(field: Mapping[str, Any]) -> str:
    return _COLUMN[field["type"]] + ("[]" if field.get("mode") == "REPEATED" else "")


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
