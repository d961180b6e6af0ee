"""A small client of the sandbox's HTTP side, for tests and scripts."""

import json
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tasks.core.errors import JobError


class SandboxAdmin:
    """Speaks to a running sandbox.

    Args:
        url: base address, ``admin_url`` of ``endpoint.json``.
        token: text of the admin token file; without it only the open routes answer.
    """

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._token = token

    @classmethod
    def of(cls, endpoint_file: Path) -> "SandboxAdmin":
        """The admin of the sandbox that wrote this ``endpoint.json``."""
        endpoint = json.loads(endpoint_file.read_text(encoding="utf-8"))
        return cls(endpoint["admin_url"], Path(endpoint["admin_token_file"]).read_text(encoding="utf-8"))

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, data, {"Authorization": f"Bearer {self._token}"}, method=method)  # noqa: S310 - always http on loopback
        try:
            with urlopen(request, timeout=600) as response:  # noqa: S310 - the same
                return str(response.read().decode())
        except HTTPError as error:
            raise JobError(f"sandbox answered {error.code} to {method} {path}: {error.read().decode()}") from error

    def state(self) -> dict[str, Any]:
        """Dates, budgets in force, changes made."""
        return dict(json.loads(self._call("GET", "/state")))

    def budgets(self) -> dict[int, int]:
        """Budget id → micros in force."""
        return {budget["budget_id"]: budget["amount_micros"] for budget in self.state()["budgets"]}

    def truth(self, start: str | None = None, end: str | None = None) -> dict[str, Any]:
        """True effects between two dates (ISO, both included; default: everything)."""
        query = "&".join(f"{key}={value}" for key, value in (("start", start), ("end", end)) if value)
        return dict(json.loads(self._call("GET", f"/truth?{query}")))

    def experiment_truth(self, end: str | None = None) -> dict[str, Any]:
        """True effect of the world's experiment by segment, over the units assigned up to ``end`` (ISO; default: so far)."""
        return dict(json.loads(self._call("GET", f"/experiment_truth?{f'end={end}' if end else ''}")))

    def advance(self, days: int = 1) -> str:
        """Let days pass; returns the new today (ISO)."""
        return str(json.loads(self._call("POST", "/advance", {"days": days}))["today"])

    def fault(self, kind: str, **fields: Any) -> None:
        """Switch a fault on; see docs/how-to/sandbox.md."""
        self._call("POST", "/faults", {"kind": kind, **fields})

    def faults(self) -> list[dict[str, Any]]:
        """Every fault with its counters."""
        return list(json.loads(self._call("GET", "/faults"))["faults"])

    def clear_faults(self, **fields: str) -> None:
        """Switch every fault off, or those of a ``kind`` and a ``method``."""
        self._call("DELETE", f"/faults?{urlencode(fields)}")

    def edit(self, budget_id: int, amount_micros: int) -> None:
        """Set a budget as somebody in the web page would."""
        self._call("POST", "/edit", {"budget_id": budget_id, "amount_micros": amount_micros})

    def ads(self) -> dict[int, bool]:
        """Ad id → enabled or not."""
        return {ad["ad_id"]: ad["is_enabled"] for ad in self.state()["ads"]}

    def edit_status(self, kind: str, entity_id: int, status: str) -> None:
        """Enable or pause an ``ad`` or a ``campaign`` as somebody in the web page would."""
        self._call("POST", "/edit", {f"{kind}_id": entity_id, "status": status})

    def requests(self) -> list[dict[str, Any]]:
        """The calls that came in since the process started, oldest first (the last 2,000)."""
        return list(json.loads(self._call("GET", "/requests"))["requests"])

    def outcomes_csv(self, start: str, end: str) -> str:
        """The CRM export."""
        return self._call("GET", f"/outcomes.csv?start={start}&end={end}")
