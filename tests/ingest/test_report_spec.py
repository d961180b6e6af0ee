"""The specs of connector reports: what a YAML file may not say."""

from pathlib import Path

import pytest

from tasks.core.errors import JobError
from tasks.ingest.report_spec import load_connector

SPEC = """
platform: x
prefix: twitter
channel: X
attribution_window: default
reports:
  tweet:
    about: Tweets.
    has: [id, account_id]
    key: [KEY]
    why: One row a tweet.
    lookups:
      - {from: HISTORY, where: {id: BY}, take: {name: name}}
    into:
      - table: ads_entities
        constants: {entity_kind: creative, status: UNKNOWN}
        columns: {account_id: account_id, entity_id: {from: id, UNIT}, COLUMN: id}
"""
RIGHT = {"KEY": "id", "HISTORY": "tweet", "BY": "id", "UNIT": "unit: text", "COLUMN": "detail"}


@pytest.mark.parametrize(
    ("place", "wrong", "said"),
    [
        ("KEY", "index", "tweet has the key index, which its files need not have"),
        ("HISTORY", "users", "looks columns up in users, which it does not describe"),
        ("BY", "user_id", "looks up by user_id of tweet, which its files need not have"),
        ("UNIT", "unit: euros", "is no column of a report"),
        ("COLUMN", "colour", "ads.ads_entities has no column colour"),
    ],
)
def test_a_spec_that_could_lose_rows_or_names_nothing_is_refused(tmp_path: Path, place: str, wrong: str, said: str) -> None:
    """A key column that a file may lack would make one row of many without a word."""

    def spec(values: dict[str, str]) -> Path:
        text = SPEC
        for name, value in values.items():
            text = text.replace(name, value)
        (tmp_path / "spec.yaml").write_text(text)
        return tmp_path / "spec.yaml"

    assert load_connector(spec(RIGHT)).reports["tweet"].key == ("id",)
    with pytest.raises(JobError, match=said):
        load_connector(spec(RIGHT | {place: wrong}))
