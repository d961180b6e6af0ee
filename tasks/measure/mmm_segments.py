"""Spend of a channel as prospecting and remarketing, where both can be told apart. Pure."""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.core.segments import Split
from tasks.measure.mmm_data import thin


def split_media(media: pl.DataFrame, campaign_ids: tuple[str, ...]) -> tuple[pl.DataFrame, Split, list[str]]:
    """``media`` (``models/mmm_media_weekly``) by the channels of the model, the split, and which channels stay whole and why.

    A channel is split if campaigns of the list spend in it. It stays whole if one of its parts would be too thin for a curve by
    the rules that every channel has to meet: two curves that nothing holds apart are worse than one.
    """
    touched = media.filter("is_remarketing")["channel"].unique().sort().to_list()
    complete = media.filter(pl.col("days_seen") >= pl.col("period_days"))
    periods = complete["period_start_date"].unique().sort()
    split, whole = [], []
    for channel in touched:
        why = None
        for is_remarketing in (False, True):
            part = complete.filter(pl.col("channel") == channel, pl.col("is_remarketing") == is_remarketing)
            spent = part.group_by("period_start_date").agg(pl.col("spend_micros").sum())
            series = pl.DataFrame({"period_start_date": periods}).join(spent, on="period_start_date", how="left")
            found = thin(np.asarray(series["spend_micros"].fill_null(0).to_numpy(), dtype=float) / 1e6)
            name = Split((channel,)).name(channel, is_remarketing)
            why = why or (f"{name} {found}" if found else None)
        if why:
            whole.append(f"{channel} is not split: {why}")
        else:
            split.append(channel)
    result = Split(tuple(split), campaign_ids if split else ())
    names = pl.struct("channel", "is_remarketing").map_elements(
        lambda row: result.name(row["channel"], row["is_remarketing"]), return_dtype=pl.String
    )
    keys = [column for column in media.columns if column not in ("spend_micros", "is_remarketing")]
    parts = media.with_columns(channel=names).group_by(keys).agg(pl.col("spend_micros").sum())
    return parts.sort("period_start_date", "geo", "channel"), result, whole
