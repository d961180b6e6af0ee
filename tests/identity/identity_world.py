"""Jobs of identity in this process on a warehouse of their own."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks import cli
from tasks.core.contracts import load_contract
from tasks.core.warehouse.duckdb import DuckDBWarehouse

SALT = b"s" * 64


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Identity:
    """A warehouse, its clock, and the jobs on it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        self._warehouse = DuckDBWarehouse(folder / "w.duckdb")
        self._waiting: dict[str, list[dict[str, Any]]] = {}
        (folder / "salt").write_bytes(SALT)
        (folder / "salt").chmod(0o600)
        monkeypatch.setenv("AELP2_DUCKDB_PATH", str(folder / "w.duckdb"))
        monkeypatch.setenv("AELP2_NAME_SALT_FILE", str(folder / "salt"))
        monkeypatch.setenv("AELP2_XCOM_FILE", str(folder / "xcom.json"))
        self._number = 0

    @property
    def warehouse(self) -> DuckDBWarehouse:
        """The warehouse, with all events in it: they are written when somebody looks, many at once."""
        for table, rows in self._waiting.items():
            self._warehouse.append(table, pl.DataFrame(rows, schema=load_contract(table).polars_schema()))
        self._waiting = {}
        return self._warehouse

    def now(self, day: int, hour: int = 6) -> None:
        """The clock stands at this hour of March."""
        self._monkeypatch.setenv("AELP2_NOW", datetime(2026, 3, day, hour, tzinfo=UTC).isoformat())

    def run(self, *arguments: str, day: int = 10) -> tuple[int, str]:
        """(exit code, all that was said)."""
        assert self.warehouse
        code = 0
        try:
            cli.main([*arguments, "--run-date", f"2026-03-{day:02}"])
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def stitch(self, day: int = 10) -> dict[str, int]:
        """What the stitching says it did."""
        code, said = self.run("stitch-identities", day=day)
        assert code == 0, said
        counts: dict[str, int] = json.loads((self.folder / "xcom.json").read_text())
        return counts

    def web(self, day: int, cookie: str, *, loaded: int | None = None, **ids: Any) -> None:
        """A GA4 event on a day of March, loaded the morning after unless ``loaded`` says another day."""
        self._number += 1
        row = {
            "property_id": "1",
            "event_date": date(2026, 3, day),
            "event_id": sha(f"web{self._number}"),
            "event_at": datetime(2026, 3, day, 12, self._number % 60, tzinfo=UTC),
            "event_name": "page_view",
            "user_pseudo_id": cookie,
            "is_session_engaged": True,
            "engagement_seconds": 1.0,
            "is_ads_consented": True,
            "is_analytics_consented": True,
            "is_intraday": False,
            "loaded_at": datetime(2026, 3, loaded or day + 1, 5, tzinfo=UTC),
        }
        self._waiting.setdefault("ga4.ga4_events", []).append(row | ids)

    def server(self, day: int, *, loaded: int | None = None, **ids: Any) -> None:
        """A server event on a day of March."""
        self._number += 1
        row = {
            "source": "crm",
            "event_date": date(2026, 3, day),
            "event_id": sha(f"server{self._number}"),
            "event_at": datetime(2026, 3, day, 13, self._number % 60, tzinfo=UTC),
            "event_name": "purchase",
            "is_ads_consented": True,
            "is_analytics_consented": True,
            "content_sha256": sha(f"content{self._number}"),
            "loaded_at": datetime(2026, 3, loaded or day + 1, 5, tzinfo=UTC),
        }
        self._waiting.setdefault("gaelp_users.server_events", []).append(row | ids)

    def all(self, table: str, without: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a table, sorted."""
        columns = ", ".join(f"`{c}`" for c in load_contract(table).columns if c not in without)
        return sorted(self.warehouse.query(f"SELECT {columns} FROM {table}").iter_rows(), key=str)

    def persons(self) -> dict[str, str | None]:
        """Person by id."""
        return dict(self.warehouse.query("SELECT id, person_id FROM gaelp_users.identity_nodes").iter_rows())
