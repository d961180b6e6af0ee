"""Names of segments and metrics that the sandbox serves."""

MONEY_SCALE = 1_000_000

TIME_SEGMENTS = (
    "segments.date",
    "segments.week",
    "segments.month",
    "segments.quarter",
    "segments.year",
    "segments.day_of_week",
)
CONVERSION_SEGMENTS = (
    "segments.conversion_action",
    "segments.conversion_action_name",
    "segments.conversion_action_category",
    "segments.conversion_lag_bucket",
)
CONVERSION_METRICS = (
    "metrics.conversions",
    "metrics.conversions_value",
    "metrics.all_conversions",
    "metrics.all_conversions_value",
)
DELIVERY_METRICS = (
    "metrics.impressions",
    "metrics.clicks",
    "metrics.interactions",
    "metrics.cost_micros",
    "metrics.ctr",
    "metrics.average_cpc",
    "metrics.cost_per_conversion",
    "metrics.conversions_from_interactions_rate",
)
VIDEO_METRICS = ("metrics.video_trueview_views", "metrics.video_quartile_p100_rate")
VIDEO_VIEW_SHARE, VIDEO_END_SHARE = 0.31, 0.08  # of impressions of an ad with a video
SHARE_METRICS = (
    "metrics.search_impression_share",
    "metrics.search_budget_lost_impression_share",
    "metrics.search_rank_lost_impression_share",
)
_WORDS = "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE TEN ELEVEN TWELVE THIRTEEN FOURTEEN".split()  # noqa: SIM905 - the list is longer than a line
# ConversionLagBucket -> days of lag it holds.
LAG_BUCKETS = {
    "LESS_THAN_ONE_DAY": slice(0, 1),
    **{f"{_WORDS[n - 1]}_TO_{_WORDS[n]}_DAYS": slice(n, n + 1) for n in range(1, 14)},
    "FOURTEEN_TO_TWENTY_ONE_DAYS": slice(14, 21),
    "TWENTY_ONE_TO_THIRTY_DAYS": slice(21, 30),
}
