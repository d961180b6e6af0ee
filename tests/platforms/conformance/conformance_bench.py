"""What a case works with: an adapter in a child process, its sandbox, and the market's own numbers to hold it against."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from conformance_child import Answer, call

from tasks.lab.cube import Cube, build_cube
from tasks.lab.files import write_private
from tasks.lab.process import RunningSandbox
from tasks.lab.sandbox import Sandbox
from tasks.platforms.base import Account

DAY = timedelta(days=1)
VIEW_SHARE = 4  # one of so many conversions of the first day follows a view; Google's clicks alone count
CAMPAIGNS, ADS, ENTITIES = "ads.ads_campaign_performance", "ads.ads_ad_performance", "ads.ads_entities"
FOLDERS = {"good": "credentials", "expired": "credentials_expired", "limited": "credentials_limited"}
# Faults of the shared names, as each sandbox calls them.
GOOGLE_FAULTS = {
    "throttle": {"kind": "quota"},
    "expired_token": {"kind": "auth"},
    "half_page": {"kind": "broken_stream"},
    "unavailable": {"kind": "unavailable"},
}


@dataclass
class Bench:
    """One adapter under test.

    Attributes:
        adapter: ``module:Class``.
        platform: its name.
        oracle: the same market in this process, asked nothing but its arrays.
    """

    adapter: str
    platform: str
    pool: ProcessPoolExecutor
    running: RunningSandbox
    oracle: Sandbox
    folder: Path

    @property
    def today(self) -> date:
        """The simulated day."""
        return self.oracle.today

    def __getattr__(self, method: str) -> Callable[..., Answer]:
        def run(*args: Any, env: dict[str, str] | None = None, **kwargs: Any) -> Answer:
            return self.pool.submit(call, self.adapter, env or {}, method, args, kwargs).result(timeout=1200)

        return run

    def good(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """The value of a call that must succeed."""
        answer: Answer = getattr(self, method)(*args, **kwargs)
        assert answer.error is None, f"{method}: {answer.error}: {answer.message}"
        return answer.value

    def account(self, place: int = 0) -> Account:
        """The first (USD) or second (EUR) account, as the adapter tells it."""
        own = [a.id for a in self.oracle.world.accounts if a.platform == self.platform]
        found = {a.account_id: a for a in self.good("accounts")}
        assert own[place] in found, f"account {own[place]} is missing; there are {sorted(found)}"
        return found[own[place]]

    def load(self, place: int = 0, days: int = 30, until: date | None = None) -> Any:
        """Reports of the last ``days`` days before ``until`` (default: today) of an account."""
        last = (until or self.today) - DAY
        return self.good("reports", self.account(place), last - (days - 1) * DAY, last, run_date=self.today)

    @contextmanager
    def fault(self, kind: str, **fields: Any) -> Iterator[None]:
        """Switch a fault on for this platform's calls."""
        asked = {"kind": kind, **fields}
        if self.platform == "google_ads":
            asked |= GOOGLE_FAULTS.get(kind, {})
        else:
            asked["platform"] = self.platform
        self.running.admin.fault(**asked)
        try:
            yield
        finally:
            self.running.admin.clear_faults()

    def truth(self, place: int, first: date, last: date) -> pl.DataFrame:
        """What the market holds of an account: per day impressions, clicks, cost_micros, conversions, revenue_micros."""
        market = self.oracle.market
        own = [a for a in self.oracle.world.accounts if a.platform == self.platform][place]
        ids = {c.id for c in own.campaigns}
        units = [i for i, unit in enumerate(market.layout.units) if unit.campaign.id in ids]
        cube = build_cube(self.oracle)
        low, high = (first - market.start).days, (last - market.start).days + 1
        conversions = self._conversions(cube)[low:high][:, units]
        value = conversions * cube.order_micros[low:high][:, units]
        return pl.DataFrame(
            {
                "date": [market.start + n * DAY for n in range(low, high)],
                **{
                    name: getattr(cube, name)[low:high][:, units].sum(axis=1) for name in ("impressions", "clicks", "cost_micros")
                },
                "conversions": conversions.sum(axis=1).astype(np.float64),
                "revenue_micros": value.sum(axis=1),
            }
        )

    def restate(self, days: int, factor: float) -> None:
        """Raise the conversions of the last ``days`` days, on the platform and in the oracle alike."""
        asked = {"kind": "restate", "days": days, "factor": factor}
        self.running.admin.fault(**asked)
        self.oracle.add_fault(asked)

    def secrets(self) -> list[str]:
        """Every secret text of this platform's good, expired and limited credentials."""
        folders = [Path(self.running.endpoint["credentials_dir"]).with_name(name) for name in FOLDERS.values()]
        files = [folder / f"{self.platform}.yaml" for folder in folders]
        found = [str(value) for file in files if file.exists() for value in yaml.safe_load(file.read_text()).values()]
        return [text for text in found if len(text) >= 20]

    def credentials(self, standing: str) -> dict[str, str] | None:
        """Environment with which the adapter signs in as ``standing``; None where the platform knows no such thing."""
        if self.platform == "google_ads":
            return self._google_credentials(standing)
        home = Path(self.running.endpoint["credentials_dir"])
        if standing in FOLDERS:
            return {"AELP2_CREDENTIALS_DIR": str(home.with_name(FOLDERS[standing]))}
        folder = self.folder / f"{self.platform}-{standing}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if standing == "wrong":
            good = yaml.safe_load((home / f"{self.platform}.yaml").read_text())
            wrong = {name: "0" * len(str(value)) if len(str(value)) >= 20 else value for name, value in good.items()}
            write_private(folder / f"{self.platform}.yaml", yaml.safe_dump(wrong))
        return {"AELP2_CREDENTIALS_DIR": str(folder)}

    def _google_credentials(self, standing: str) -> dict[str, str] | None:
        """Keys of service accounts do not run out; a limited one reaches no account below the manager it names."""
        config = yaml.safe_load(Path(self.running.endpoint["config_file"]).read_text())
        changes = {"wrong": {"developer_token": "0" * 22}, "limited": {"login_customer_id": "9999999999"}}
        if standing == "expired":
            return None
        file = self.folder / f"google-{standing}.yaml"
        if standing in changes:
            write_private(file, yaml.safe_dump(config | changes[standing]))
        return {"AELP2_GOOGLE_ADS_CONFIG": str(file), "AELP2_GOOGLE_ADS_LOGIN_CUSTOMER_ID": ""}

    def created(self, account_id: str, kind: str) -> list[dict[str, Any]]:
        """What was made in the account through the API, as the platform holds it."""
        made = self.running.admin.state()["created"]
        return [one for one in made if (one["platform"], one["account_id"], one["kind"]) == (self.platform, account_id, kind)]

    def _conversions(self, cube: Cube) -> Any:
        """(D, U) purchases that the platform's default windows count, by what its adapter says they are."""
        click_days, has_views = self.windows()
        by_lag = cube.conversions["purchase"]
        viewed = by_lag[:, :, 0] // VIEW_SHARE
        counted = by_lag[:, :, :click_days].sum(axis=2)
        return counted if has_views or self.platform == "google_ads" else counted - viewed

    def windows(self) -> tuple[int, bool]:
        """Days after a click and whether views count, read off ``7d_click_1d_view``."""
        said = self.load(days=3).frames[CAMPAIGNS]["attribution_window"][0]
        clicks, _, views = said.partition("_click")
        return int(clicks.removesuffix("d")), views == "_1d_view"


def daily(frame: pl.DataFrame) -> pl.DataFrame:
    """Sums per day of a delivery table, in the shape of :meth:`Bench.truth`."""
    numbers = ("impressions", "clicks", "cost_micros", "conversions", "revenue_micros")
    return frame.group_by("date").agg(pl.col(name).sum() for name in numbers).sort("date").select("date", *numbers)
