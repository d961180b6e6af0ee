"""Each runbook has an alert, each alert a runbook, and the line that a failed task logs reaches the alert of its DAG."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terraform.tfvars import example

Planned = Callable[[str, str], list[dict[str, Any]]]
ROOT = Path(__file__).resolve().parents[2]
AIRFLOW = ROOT / ".venv-airflow" / "bin" / "python"
RUNBOOKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "runbooks").glob("*.md")}
DAGS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "dags").glob("*.py")}
URGENCY = re.compile(r"\*\*Urgency: (now|today|this week)\b")
ENVIRONMENT = {"type": "cloud_composer_environment", "labels": {"environment_name": "aelp2"}}


def policies(planned: Planned, environment: str = "prod") -> dict[str, dict[str, Any]]:
    """Runbook → the alert policy that carries it."""
    found = [r["values"] for r in planned("platform", environment) if r["type"] == "google_monitoring_alert_policy"]
    assert len({policy["user_labels"]["runbook"] for policy in found}) == len(found)
    return {policy["user_labels"]["runbook"]: policy for policy in found}


# --- runbook ↔ alert


def test_every_runbook_has_an_alert_and_every_alert_a_runbook(planned: Planned) -> None:
    """A page with an urgency is an alert's. One without is for all of them, and another page or the alert line points at it."""
    urgent = {name for name, text in RUNBOOKS.items() if URGENCY.search(text)}
    assert set(policies(planned)) == set(policies(planned, "dev")) == urgent
    assert len(urgent) > len(DAGS)
    sources = "\n".join([*RUNBOOKS.values(), *(p.read_text(encoding="utf-8") for p in (ROOT / "plugins").rglob("*.py"))])
    assert [name for name in set(RUNBOOKS) - urgent if f"{name}.md" not in sources and f"`{name}`" not in sources] == []


def test_an_alert_carries_its_runbook_whole(planned: Planned) -> None:
    """The text is the page's, within what Cloud Monitoring takes: 8,192 characters and 10,240 bytes."""
    for name, policy in policies(planned).items():
        (documentation,) = policy["documentation"]
        assert documentation["content"] == RUNBOOKS[name]
        assert len(RUNBOOKS[name]) <= 8192, name
        assert len(RUNBOOKS[name].encode()) <= 10_240, name
        assert len(documentation["subject"]) <= 255


def test_a_runbook_is_as_urgent_as_its_dag() -> None:
    """The page and the DAG file say the same."""
    names = {"NOW": "now", "TODAY": "today", "THIS_WEEK": "this week"}
    for name, text in DAGS.items():
        (urgency,) = re.findall(r"Urgency\.(\w+)", text)
        found = URGENCY.search(RUNBOOKS[name])
        assert found is not None
        assert found[1] == names[urgency], name


def test_what_is_urgent_wakes_somebody_and_the_rest_is_mail(planned: Planned) -> None:
    """`now` goes to the channels that page, too; severity follows the urgency."""
    severity = {"now": "CRITICAL", "today": "ERROR", "this week": "WARNING"}
    pages = "projects/my-company-aelp2-prod/notificationChannels/1234567890"
    text = (ROOT / "terraform" / "platform" / "alerts.tf").read_text(encoding="utf-8")
    assert f'page_channels = ["{pages}"]' in " ".join(example("platform", "prod").read_text(encoding="utf-8").split())
    channels = dict(re.findall(r'^    "?(now|today|this week)"?\s+= (.+)$', text, re.MULTILINE))
    mail = "[google_monitoring_notification_channel.email.id]"
    assert channels == {"now": f"concat({mail}, var.page_channels)", "today": mail, "this week": mail}
    for name, policy in policies(planned).items():
        urgency = URGENCY.search(RUNBOOKS[name])
        assert urgency is not None
        assert policy["severity"] == severity[urgency[1]], name
        assert policy.get("enabled") is not False


# --- the line of a failed task


class Query:
    """The part of the Logging query language that the filters use: AND, OR, parentheses, `=`, `=~`."""

    _TOKEN = re.compile(r'\s*(\(|\)|AND\b|OR\b|([\w.]+)(=~|=)"([^"]*)")')

    def __init__(self, text: str) -> None:
        self.tokens = list(self._TOKEN.finditer(text))
        assert "".join(token[0] for token in self.tokens).strip() == text.strip(), text
        self.at = 0

    def matches(self, entry: dict[str, Any]) -> bool:
        """Whether ``entry`` is one of those that the filter asks for."""
        self.at = 0
        found = self._any(entry)
        assert self.at == len(self.tokens)
        return found

    def _word(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _any(self, entry: dict[str, Any]) -> bool:
        found = self._all(entry)
        while self._word() == "OR":
            self.at += 1
            found = self._all(entry) or found
        return found

    def _all(self, entry: dict[str, Any]) -> bool:
        found = self._one(entry)
        while self._word() == "AND":
            self.at += 1
            found = self._one(entry) and found
        return found

    def _one(self, entry: dict[str, Any]) -> bool:
        token = self.tokens[self.at]
        self.at += 1
        if token[1] == "(":
            found = self._any(entry)
            assert self._word() == ")"
            self.at += 1
            return found
        value: Any = entry
        for part in token[2].split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, str):
            return False
        return bool(re.search(token[4], value)) if token[3] == "=~" else value == token[4]


def writings(line: str) -> list[dict[str, Any]]:
    """The entries of Cloud Logging that a line may become."""
    payloads: list[dict[str, Any]] = [
        {"textPayload": line},
        {"textPayload": f"[2026-03-01, 05:10:00 UTC] {{defaults.py:72}} ERROR - {line}"},
        {"textPayload": json.dumps({"event": line, "level": "error", "logger": "aelp2.alert"})},
        {"jsonPayload": {"message": line}},
        {"jsonPayload": {"event": line, "logger": "aelp2.alert"}},
        {"jsonPayload": json.loads(line)},
    ]
    return [{"resource": ENVIRONMENT, **payload} for payload in payloads]


@pytest.fixture(scope="module")
def lines() -> list[tuple[str, str, str]]:
    """(DAG, kind, line) as the real alert logs it, from Airflow's own environment."""
    if not AIRFLOW.exists():
        pytest.skip("no .venv-airflow; `make setup` makes it")
    command = [AIRFLOW, Path(__file__).with_name("alert_lines.py"), *sorted(DAGS)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(triple) for triple in json.loads(done.stdout.splitlines()[-1])]


@pytest.mark.slow
def test_the_line_of_a_failed_task_reaches_the_alert_of_its_dag(planned: Planned, lines: list[tuple[str, str, str]]) -> None:
    """Exactly that one, in whatever form Composer passes the line on; a pod without its image reaches `image_pull` as well."""
    filters = {
        name: Query(policy["conditions"][0]["condition_matched_log"][0]["filter"])
        for name, policy in policies(planned).items()
        if policy["conditions"][0]["condition_matched_log"]
    }
    assert set(filters) == {*DAGS, "image_pull"}
    assert {dag for dag, _, _ in lines} == set(DAGS)
    for dag, kind, line in lines:
        expected = {dag, "image_pull"} if kind == "image_pull" else {dag}
        for entry in writings(line):
            assert {name for name, query in filters.items() if query.matches(entry)} == expected, entry


@pytest.mark.slow
def test_the_labels_of_an_alert_are_those_of_the_line(planned: Planned, lines: list[tuple[str, str, str]]) -> None:
    """DAG, task and kind stand in the subject; an error that quotes the keys' names does not confuse them."""
    (condition,) = policies(planned)["budget_plan_daily"]["conditions"][0]["condition_matched_log"]
    for dag, kind, line in lines:
        for text in (entry["textPayload"] for entry in writings(line) if "textPayload" in entry):
            found = {}
            for label, extractor in condition["label_extractors"].items():
                inner = re.fullmatch(r'REGEXP_EXTRACT\(textPayload, "(.+)"\)', extractor)
                assert inner is not None
                match = re.search(inner[1], text)
                found[label] = match[1] if match else None
            assert found == {"dag_id": dag, "task_id": "the_task", "kind": kind}


@pytest.mark.slow
def test_what_is_no_alert_reaches_none(planned: Planned, lines: list[tuple[str, str, str]]) -> None:
    """Another environment's line, a DAG whose name goes on, an ordinary line that names a DAG, another kind of alert."""
    query = Query(policies(planned)["budget_plan_daily"]["conditions"][0]["condition_matched_log"][0]["filter"])
    line = next(line for dag, _, line in lines if dag == "budget_plan_daily")
    assert query.matches({"resource": ENVIRONMENT, "textPayload": line})
    elsewhere = {"type": "cloud_composer_environment", "labels": {"environment_name": "other"}}
    assert not query.matches({"resource": elsewhere, "textPayload": line})
    for other in (
        line.replace('"budget_plan_daily"', '"budget_plan_daily_v2"'),
        line.replace("task_failed", "task_retried"),
        "Marking run <DagRun budget_plan_daily> as failed",
    ):
        assert not query.matches({"resource": ENVIRONMENT, "textPayload": other})


# --- what no task can say


def test_thresholds_ask_for_metrics_of_their_resource(planned: Planned) -> None:
    """Each filter names one metric and one resource; the bytes alert is at half of the quota that refuses."""
    found = {
        name: policy["conditions"][0]["condition_threshold"][0]
        for name, policy in policies(planned).items()
        if policy["conditions"][0]["condition_threshold"]
    }
    assert set(found) == {"environment_unhealthy", "dag_import_errors", "bigquery_cost"}
    for condition in found.values():
        assert len(re.findall(r'metric\.type="[\w./]+"', condition["filter"])) == 1
        assert len(re.findall(r'resource\.type="\w+"', condition["filter"])) == 1
    (quota,) = [r["values"] for r in planned("platform", "prod") if r["type"] == "google_cloud_quotas_quota_preference"]
    mebibytes = int(quota["quota_config"][0]["preferred_value"])
    assert found["bigquery_cost"]["threshold_value"] == mebibytes * 2**20 / 2


def test_the_silence_of_the_daily_plan_is_noticed(planned: Planned) -> None:
    """No run of `budget_plan_daily`, a DAG that exists and runs by itself, in 25 hours and two more."""
    (condition,) = policies(planned)["plan_missing"]["conditions"][0]["condition_prometheus_query_language"]
    (workflow,) = re.findall(r'workflow_name="(\w+)"', condition["query"])
    assert "schedule=None" not in DAGS[workflow]
    assert "[25h]" in condition["query"]
    assert "or vector(0)" in condition["query"]
    assert condition["duration"] == "7200s"
