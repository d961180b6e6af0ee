"""Safety events: written once a day, loud, without personal data."""

from datetime import date, datetime
from typing import Any

import pytest
from memory_warehouse import MemoryWarehouse

from tasks.core.safety import record

EVENT: dict[str, Any] = {
    "run_date": date(2026, 3, 2),
    "platform": "google_ads",
    "account_id": "1",
    "kind": "cac_breach",
    "severity": "critical",
    "detail": "CAC 80",
}


def kept(store: MemoryWarehouse) -> list[dict[str, Any]]:
    return store.query(
        "SELECT run_date, kind, severity, detail, happened_at FROM control.safety_events ORDER BY detail"
    ).to_dicts()


def test_the_same_event_of_a_day_is_one_row(store: MemoryWarehouse, clock: datetime) -> None:
    """A retry does not write it again; another day, another detail does."""
    for _ in range(2):
        record(store, **EVENT)
    record(store, **EVENT | {"detail": "CAC 81"})
    record(store, **EVENT | {"detail": "CAC 82", "run_date": date(2026, 3, 3)})
    assert [(e["run_date"], e["detail"], e["happened_at"]) for e in kept(store)] == [
        (date(2026, 3, 2), "CAC 80", clock),
        (date(2026, 3, 2), "CAC 81", clock),
        (date(2026, 3, 3), "CAC 82", clock),
    ]


def test_personal_data_does_not_get_into_the_table(store: MemoryWarehouse, clock: datetime) -> None:
    """M14: an error of a platform may hold anything."""
    record(store, **EVENT | {"detail": "refused for maria@example.com, access_token=kQ9zT4w7"})
    assert [e["detail"] for e in kept(store)] == ["refused for [redacted], access_token=[redacted]"]


@pytest.mark.parametrize(("severity", "level"), [("critical", "error"), ("warning", "warning"), ("info", "info")])
def test_it_is_logged_as_loud_as_it_is(
    store: MemoryWarehouse, clock: datetime, capsys: pytest.CaptureFixture[str], severity: str, level: str
) -> None:
    """Alerts go by the level of the line."""
    record(store, **EVENT | {"severity": severity})
    captured = capsys.readouterr()
    assert f"[{level}" in captured.out + captured.err
