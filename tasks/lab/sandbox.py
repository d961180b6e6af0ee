"""The sandbox's one piece of state: a market, its clock, the changes made to it and the faults switched on.

Only what cannot be regenerated is kept, in ``state.json``: world, seed, dates, changes, restatements, faults. The history is
simulated again from them at start. Every write is a temporary file, fsync and rename, so a kill at any point leaves the old
or the new state.
"""

import hashlib
import json
import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tasks.core.errors import JobError
from tasks.lab.faults import Fault, fault_from_json
from tasks.lab.files import write_private
from tasks.lab.market import Change, Market
from tasks.lab.world import World

if TYPE_CHECKING:
    from tasks.lab.ga4_export import Ga4Export
    from tasks.lab.people_backend import BackendFiles

EntityKind = Literal["budget", "campaign", "ad"]
API_USER = "aelp2@example.test"
WEB_USER = "media.buyer@example.test"
FIRST_MADE_ID = 8_000_000_001
MORNING = time(5, 30, tzinfo=UTC)  # the same calendar day from New York to Tokyo


@dataclass(frozen=True)
class ChangeEvent:
    """One row of ``change_event``: who set what from what to what."""

    at: str  # UTC, ISO 8601
    kind: EntityKind
    entity: int
    old: int
    new: int
    client_type: str
    user_email: str


@dataclass(frozen=True)
class Made:
    """Something created through an API: it can be read, switched on and off, and delivers nothing.

    ``fields`` are what the platform was told, in its own words, with ``name`` among them.
    """

    platform: str
    account_id: str
    kind: str  # campaign, adgroup, ad, budget …
    id: int
    parent_id: str
    fields: dict[str, Any]
    is_enabled: bool = False


@dataclass(frozen=True)
class Restatement:
    """Conversions of these click days (indices, both included) were raised by ``factor`` later on."""

    first_day: int
    last_day: int
    factor: float


class Sandbox:
    """A running market. All methods are safe to call from several threads.

    Args:
        state_dir: where ``state.json`` lives; an existing one is taken up again.
        world, seed, start, history_days: must equal those of an existing state.

    Raises:
        JobError: the state was made with another world, seed or dates.
    """

    def __init__(self, state_dir: Path, world: World, seed: int, start: date, history_days: int) -> None:
        self.lock = threading.RLock()
        self.world = world
        self.state_file = state_dir / "state.json"
        self._identity: dict[str, object] = {
            "world": world.id,
            # The sampled persons change no number of the market, so an older state without them is taken up again.
            "world_sha256": hashlib.sha256(world.model_dump_json(exclude={"people"}).encode()).hexdigest(),
            "seed": seed,
            "start_date": start.isoformat(),
            "history_days": history_days,
        }
        self.market = Market(world, seed, start, history_days)
        self.advanced_days = 0
        self.events: list[ChangeEvent] = []
        self.restatements: list[Restatement] = []
        self.made: list[Made] = []
        self.faults: list[Fault] = []
        self.requests: deque[dict[str, object]] = deque(maxlen=2000)
        self._request_count = 0
        self.ga4: Ga4Export | None = None
        self.backend: BackendFiles | None = None
        self.version = 0  # moves whenever what a query sees may have changed
        if self.state_file.exists():
            self._load(json.loads(self.state_file.read_text(encoding="utf-8")))
        self.market.run_to(history_days + self.advanced_days)
        self._save()

    @property
    def today_index(self) -> int:
        """Index of the day under way; every day before it is complete."""
        return self.market.history_days + self.advanced_days

    @property
    def today(self) -> date:
        """The simulated date."""
        return self.market.date_of(self.today_index)

    @property
    def now(self) -> datetime:
        """The simulated instant: 05:30 UTC, one second later with each change made on the day."""
        made_today = sum(1 for event in self.events if event.at.startswith(self.today.isoformat()))
        return datetime.combine(self.today, MORNING) + timedelta(seconds=made_today)

    def current(self, kind: EntityKind, entity: int) -> int:
        """Micros of a budget, 1 or 0 for an enabled or paused campaign or ad."""
        if (own := self.made_of(kind, entity)) is not None:
            return int(own.fields["amount_micros"]) if kind == "budget" else int(own.is_enabled)
        layout, today = self.market.layout, self.today_index
        if kind == "budget":
            return int(self.market.budgets_on(today)[layout.budget_index[entity]])
        index = layout.campaign_index if kind == "campaign" else layout.unit_index
        return int(self.market.enabled_on(today, kind)[index[entity]])

    def commit(self, edits: Sequence[tuple[EntityKind, int, int]], *, client_type: str, user: str) -> None:
        """Make all of ``edits`` (kind, id, value) from today on, or none; a value that is already set makes no event."""
        with self.lock:
            for kind, entity, value in edits:
                old = self.current(kind, entity)
                if old == value:
                    continue
                self.events.append(ChangeEvent(self.now.isoformat(), kind, entity, old, value, client_type, user))
                if (own := self.made_of(kind, entity)) is not None:
                    new = {"fields": own.fields | {"amount_micros": value}} if kind == "budget" else {"is_enabled": bool(value)}
                    self.made[self.made.index(own)] = replace(own, **new)
                else:
                    self.market.apply(Change(self.today_index, kind, entity, value))
            self._changed()

    def create(self, platform: str, account_id: str, kind: str, parent_id: str, fields: dict[str, Any]) -> int:
        """Make something, switched off; its id. It survives a restart."""
        with self.lock:
            number = FIRST_MADE_ID + len(self.made)
            self.made.append(Made(platform, account_id, kind, number, parent_id, fields))
            self._changed()
            return number

    def created(self, platform: str, account_id: str, kind: str) -> list[Made]:
        """What was made of one kind in an account, oldest first."""
        wanted = (platform, account_id, kind)
        return [made for made in self.made if (made.platform, made.account_id, made.kind) == wanted]

    def made_of(self, kind: str, entity: int) -> Made | None:
        """What was made of this kind and id; None for what the world holds."""
        return next((made for made in self.made if (made.kind, made.id) == (kind, entity)), None)

    def past_events(self) -> list[ChangeEvent]:
        """Budget changes that the buyer made in the last 30 days of history, oldest first."""
        market = self.market
        found = []
        for day in range(max(1, market.history_days - 30), market.history_days):
            before, after = market.budgets_on(day - 1), market.budgets_on(day)
            at = datetime.combine(market.date_of(day), time(14, 0, tzinfo=UTC)).isoformat()
            found += [
                ChangeEvent(at, "budget", b.id, int(before[i]), int(after[i]), "GOOGLE_ADS_WEB_CLIENT", WEB_USER)
                for i, b in enumerate(market.layout.budgets)
                if before[i] != after[i]
            ]
        return found

    def advance(self, days: int) -> date:
        """Let ``days`` days pass; returns the new today.

        Raises:
            JobError: fewer than 1 or more than 366 days.
        """
        if not 1 <= days <= 366:
            raise JobError(f"cannot advance {days} days; give 1 to 366")
        with self.lock:
            self.advanced_days += days
            self.market.run_to(self.today_index)
            self._changed()
            self._write_website()
            return self.today

    def write_website(self, folder: Path, days: int) -> None:
        """Write below ``folder`` what website and shop deliver, now and again whenever days pass.

        ``ga4_export`` is GA4's export, ``server_events`` the backend's events, ``experiments`` who is in which arm.
        """
        from tasks.lab.ga4_export import Ga4Export
        from tasks.lab.people_backend import BackendFiles

        with self.lock:
            self.ga4 = Ga4Export(self.market, folder / "ga4_export", days)
            self.backend = BackendFiles(self.ga4.people, folder, days)
            self._write_website()

    def _write_website(self) -> None:
        if self.ga4 is not None and self.backend is not None:
            self.ga4.write(self.now)
            self.backend.write(self.today)

    def add_fault(self, body: dict[str, Any]) -> None:
        """Switch a fault on, or restate history at once for ``{"kind": "restate", "days": N, "factor": F}``."""
        with self.lock:
            if body.get("kind") == "restate":
                days, factor = int(body.get("days", 10)), float(body.get("factor", 1.2))
                if days < 1 or factor <= 0:
                    raise JobError(f"restate needs days >= 1 and factor > 0, not days={days} factor={factor}")
                self.restatements.append(Restatement(max(0, self.today_index - days), self.today_index - 1, factor))
            else:
                self.faults.append(fault_from_json(body))
            self._changed()

    def clear_faults(self, **fields: str) -> None:
        """Switch off every fault with these ``fields`` (none: every one); restatements stay, as they would on the platform."""
        with self.lock:
            self.faults[:] = [fault for fault in self.faults if not fields.items() <= fault.to_json().items()]
            self._changed()

    def next_request_id(self) -> str:
        """An id unlike any other this process gave."""
        with self.lock:
            self._request_count += 1
            return f"sbx{os.getpid():x}-{self._request_count:06d}"

    def record_request(self, entry: dict[str, object]) -> None:
        """Remember a finished call for ``GET /requests``; fault counters may have moved, so state is written."""
        with self.lock:
            self.requests.append(entry)
            if self.faults:
                self._save()

    def _changed(self) -> None:
        self.version += 1
        self._save()

    def _save(self) -> None:
        state = self._identity | {
            "advanced_days": self.advanced_days,
            "changes": [asdict(change) for change in self.market.changes],
            "events": [asdict(event) for event in self.events],
            "restatements": [asdict(restatement) for restatement in self.restatements],
            "created": [asdict(made) for made in self.made],
            "faults": [fault.to_json() for fault in self.faults],
        }
        write_private(self.state_file, json.dumps(state, indent=1))

    def _load(self, state: dict[str, Any]) -> None:
        for key, mine in self._identity.items():
            if state.get(key) != mine:
                raise JobError(
                    f"{self.state_file} was made with {key}={state.get(key)!r}, this start asks for {mine!r}; "
                    "start with the same value or give another --state-dir"
                )
        self.advanced_days = int(state["advanced_days"])
        self.market.changes.extend(Change(**change) for change in state["changes"])
        self.events = [ChangeEvent(**event) for event in state["events"]]
        self.restatements = [Restatement(**restatement) for restatement in state["restatements"]]
        self.made = [Made(**made) for made in state.get("created", [])]
        self.faults = [fault_from_json(fault) for fault in state["faults"]]
