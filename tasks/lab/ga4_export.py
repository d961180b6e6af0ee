"""The Google Analytics 4 export of a market, as Parquet files in the nested shape of Google's BigQuery tables.

``<folder>/analytics_<property>/events_YYYYMMDD.parquet`` and ``events_intraday_YYYYMMDD.parquet``, as they would lie there on the
simulated morning:

- yesterday has an intraday table only: its daily table is made in the course of today;
- the day before has its daily table, and for one more morning its intraday table too: the same events twice;
- a daily table gains rows for three days, because some devices report late; afterwards it is final.

Shape and behaviour follow Google's description of the export (developers.google.com/analytics/bigquery/event-schema). Only the
last ``days`` days of history are written: a property keeps what it was told to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.lab.files import write_private
from tasks.lab.market import Market
from tasks.lab.people import People
from tasks.lab.people_events import SITE, DayEvents, make_events

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

DEFAULT_DAYS = 45
LATE_DAYS = 3
DUPLICATED_SHARE = 0.001  # of a daily table's rows are there twice
AS_OF = "as_of.json"


def _value_type() -> Any:
    import pyarrow as pa

    return pa.struct(
        [("string_value", pa.string()), ("int_value", pa.int64()), ("float_value", pa.float64()), ("double_value", pa.float64())]
    )


def event_params(params: pl.DataFrame, events: int) -> pa.Array:
    """ARRAY<STRUCT<key, value STRUCT<…>>> with one list an event from long-form rows sorted by ``ev``."""
    import pyarrow as pa

    offsets = np.zeros(events + 1, dtype=np.int32)
    np.cumsum(np.bincount(params["ev"].to_numpy(), minlength=events), out=offsets[1:])
    nothing = pa.nulls(params.height, pa.float64())
    kinds = {"s": pa.string(), "i": pa.int64(), "d": pa.float64()}
    text, whole, real = (params[name].to_arrow().cast(kind) for name, kind in kinds.items())
    value = pa.StructArray.from_arrays([text, whole, nothing, real], fields=list(_value_type()))
    pairs = pa.StructArray.from_arrays([params["key"].to_arrow().cast(pa.string()), value], names=["key", "value"])
    return pa.ListArray.from_arrays(pa.array(offsets), pairs)


def _struct(length: int, **fields: Any) -> Any:
    """STRUCT array; a field is an array, or a value that all rows share."""
    import pyarrow as pa

    arrays = []
    for value in fields.values():
        if isinstance(value, pa.Array):
            arrays.append(value)
        elif value is None:
            arrays.append(pa.nulls(length, pa.string()))
        else:
            arrays.append(pa.repeat(pa.scalar(value), length))
    return pa.StructArray.from_arrays(arrays, names=list(fields))


def _items(events: pl.DataFrame) -> Any:
    """ARRAY<STRUCT>: one item in a purchase, none elsewhere."""
    import polars as pl
    import pyarrow as pa

    sells = (events["event_name"] == "purchase").to_numpy()
    value = events.filter(pl.col("event_name") == "purchase")["value"].to_arrow()
    n = len(value)
    item = _struct(
        n, item_id="12", item_name="Everyday bag", item_brand="Acme", item_variant=None, item_category="Bags",
        price_in_usd=value, price=value, quantity=1, item_revenue_in_usd=value, item_revenue=value, coupon=None,
    )  # fmt: skip
    offsets = np.zeros(len(sells) + 1, dtype=np.int32)
    np.cumsum(sells, out=offsets[1:])
    return pa.ListArray.from_arrays(pa.array(offsets), item)


def export_table(day: DayEvents, name: str, *, is_intraday: bool) -> pa.Table:
    """The export's table of these events; ``name`` is the day as YYYYMMDD."""
    import polars as pl
    import pyarrow as pa

    events = day.events
    n = events.height

    def column(name: str) -> Any:
        array = events[name].to_arrow()
        return array.cast(pa.string()) if events[name].dtype == pl.String else array

    consent = events.select(
        *(pl.when(c).then(pl.lit("Yes")).otherwise(pl.lit("No")).alias(c) for c in ("analytics_consent", "ads_consent"))
    )
    sells = pl.when(pl.col("event_name") == "purchase")
    money = events.select(sells.then("value").alias("value"), sells.then("transaction_id").alias("transaction_id"))
    revenue, order = money["value"].to_arrow(), money["transaction_id"].to_arrow().cast(pa.string())
    opens = pl.when((pl.col("step") == 0) & (pl.col("rank") <= 2))  # GA4 collects the source with the events of the landing
    collected = {
        name: events.select(opens.then(name).alias(name))[name].to_arrow().cast(pa.string())
        for name in ("source", "medium", "campaign", "campaign_id", "gclid")
    }
    manual = _struct(
        n, campaign_id=column("campaign_id"), campaign_name=column("campaign"), source=column("source"), medium=column("medium"),
        term=None, content=None, source_platform=None, creative_format=None, marketing_tactic=None,
    )  # fmt: skip
    last_click = _struct(n, manual_campaign=manual)
    if is_intraday:  # the session's attributed source is only known once the day is complete
        last_click = pa.nulls(n, last_click.type)
    arrays: dict[str, Any] = {
        "event_date": pa.repeat(pa.scalar(name), n),
        "event_timestamp": column("event_timestamp"),
        "event_name": column("event_name"),
        "event_params": event_params(day.params, n),
        "event_previous_timestamp": pa.nulls(n, pa.int64()),
        "event_value_in_usd": revenue,
        "event_bundle_sequence_id": column("session_id").cast(pa.int64()),
        "event_server_timestamp_offset": pa.nulls(n, pa.int64()),
        "user_id": column("user_id"),
        "user_pseudo_id": column("user_pseudo_id"),
        "privacy_info": _struct(
            n,
            analytics_storage=consent["analytics_consent"].to_arrow().cast(pa.string()),
            ads_storage=consent["ads_consent"].to_arrow().cast(pa.string()),
            uses_transient_token="No",  # noqa: S106  # a consent flag of Google's schema
        ),
        "user_properties": pa.ListArray.from_arrays(
            pa.array(np.zeros(n + 1, dtype=np.int32)),
            pa.array([], pa.struct([("key", pa.string()), ("value", _value_type())])),
        ),
        "user_first_touch_timestamp": column("first_touch"),
        "user_ltv": _struct(n, revenue=pa.nulls(n, pa.float64()), currency="USD"),
        "device": _struct(
            n, category=column("device"), mobile_brand_name=None, mobile_model_name=None, operating_system=None,
            operating_system_version=None, language="en-us", is_limited_ad_tracking="No",
            time_zone_offset_seconds=pa.nulls(n, pa.int64()),
            web_info=_struct(n, browser="Chrome", browser_version=None, hostname=SITE.removeprefix("https://")),
        ),
        "geo": _struct(n, city=None, country=column("country"), continent=None, region=None, sub_continent=None, metro=None),
        "app_info": pa.nulls(n, pa.struct([("id", pa.string()), ("version", pa.string())])),
        "traffic_source": _struct(n, name=column("campaign"), medium=column("medium"), source=column("source")),
        "stream_id": pa.repeat(pa.scalar("4000000001"), n),
        "platform": pa.repeat(pa.scalar("WEB"), n),
        "event_dimensions": _struct(n, hostname=SITE.removeprefix("https://")),
        "ecommerce": _struct(
            n, total_item_quantity=pa.nulls(n, pa.int64()), purchase_revenue_in_usd=revenue, purchase_revenue=revenue,
            refund_value_in_usd=pa.nulls(n, pa.float64()), refund_value=pa.nulls(n, pa.float64()), transaction_id=order,
        ),
        "items": _items(events),
        "collected_traffic_source": _struct(
            n, manual_campaign_id=collected["campaign_id"], manual_campaign_name=collected["campaign"],
            manual_source=collected["source"], manual_medium=collected["medium"], manual_term=None, manual_content=None,
            manual_source_platform=None, manual_creative_format=None, manual_marketing_tactic=None,
            gclid=collected["gclid"], dclid=None, srsltid=None,
        ),
        "is_active_user": column("is_engaged"),
        "batch_event_index": column("batch_event_index").cast(pa.int64()),
        "batch_page_id": column("step").cast(pa.int64()),
        "batch_ordering_id": column("rank").cast(pa.int64()),
        "session_traffic_source_last_click": last_click,
    }  # fmt: skip
    return pa.table(arrays)


@dataclass
class Ga4Export:
    """Writes the export of ``market`` below ``folder`` as it lies there on a morning.

    Args:
        market: simulated up to the day before the morning.
        folder: holds ``analytics_<property>``.
        days: complete days kept before the first morning; later days are added, none is taken away.
    """

    market: Market
    folder: Path
    days: int = DEFAULT_DAYS

    def __post_init__(self) -> None:
        self.people = People(self.market)
        self.property_id = self.market.world.people.property_id
        self.time_zone = self.market.world.accounts[0].time_zone
        self.path = self.folder / f"analytics_{self.property_id}"

    def events(self, day: int) -> DayEvents:
        """All events of day index ``day`` that will ever arrive."""
        world = self.market.world
        return make_events(
            self.people.sessions(day),
            self.market.layout.campaigns,
            self.market.date_of(day),
            self.time_zone,
            world.currency,
            self.market.seed,
        )

    def write(self, now: datetime) -> None:
        """Bring the files up to the morning ``now``: new days, days that late rows still reach, intraday tables."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        today = (now.date() - self.market.start).days
        first = max(0, self.market.history_days - self.days)
        changed_from = max(first, self._written_until() - LATE_DAYS - 2)
        for day in range(changed_from, today):
            events = self.events(day)
            age = today - day
            if age >= 2:
                self._write_day(day, arrived(events, age - 1), is_intraday=False)
            if age <= 2:
                self._write_day(day, arrived(events, 0), is_intraday=True)
        for day in range(changed_from, today - 2):
            self._file(day, is_intraday=True).unlink(missing_ok=True)
        write_private(self.path / AS_OF, json.dumps({"today": now.date().isoformat(), "people": self.people.fingerprint}))

    def _written_until(self) -> int:
        """Day index of the morning the files stand for; that of the first day if there are none, or they show other persons."""
        file = self.path / AS_OF
        if not file.exists():
            return 0
        state = json.loads(file.read_text(encoding="utf-8"))
        if state.get("people") != self.people.fingerprint:
            return 0
        today = date.fromisoformat(state["today"])
        return (today - self.market.start).days

    def _file(self, day: int, *, is_intraday: bool) -> Path:
        name = f"{self.market.start + timedelta(days=day):%Y%m%d}"
        return self.path / f"events_{'intraday_' if is_intraday else ''}{name}.parquet"

    def _write_day(self, day: int, events: DayEvents, *, is_intraday: bool) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self._file(day, is_intraday=is_intraday)
        table = export_table(events, f"{self.market.date_of(day):%Y%m%d}", is_intraday=is_intraday)
        if not is_intraday:
            rng = np.random.default_rng([self.market.seed, 14, day])
            twice = np.flatnonzero(rng.random(table.num_rows) < DUPLICATED_SHARE)
            table = pa.concat_tables([table, table.take(pa.array(twice))])
        temporary = file.with_suffix(".tmp")
        pq.write_table(table, temporary, compression="snappy")
        temporary.chmod(0o600)
        temporary.replace(file)


def arrived(day: DayEvents, days: int) -> DayEvents:
    """The events that reached the export within ``days`` days."""
    import polars as pl

    events = day.events.filter(pl.col("late") <= days)
    if events.height == day.events.height:
        return day
    rows = events.select("ev").with_row_index("new")
    params = day.params.join(rows, on="ev", how="inner", maintain_order="left").drop("ev").rename({"new": "ev"})
    return DayEvents(events, params)
