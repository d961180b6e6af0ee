"""M14 over the whole of identity: planted addresses and numbers are in no table, file, log, XCom or word that a job says."""

from __future__ import annotations

import json

import pytest
from identity.identity_world import SALT, Identity

from tasks.core.contracts import all_contracts
from tasks.core.redaction import hash_name

PLANTED = {
    "email": "Zoë.Planted+shop@Example.org",
    "phone": "020 7946 0958",
    "user_id": "zoe.planted@example.org",
    "transaction_id": "order of zoe.planted@example.org",
}
TRACES = ("planted", "7946", "+4420", "0958", "example.org")


@pytest.mark.slow
def test_no_trace_of_a_person_in_any_table_file_or_word(identity: Identity) -> None:
    """Good and bad events, stitching, a forget that counts, fails, and deletes: the person's own words are nowhere."""
    good = {"event_name": "purchase", "event_time": "2026-03-05T10:00:00Z", "consent_analytics": True, **PLANTED}
    values = list(PLANTED.values())
    rows = [{"event_id": "zoe.planted@example.org", **good}]
    rows += [
        {**good, "event_id": f"{column}{n}", column: v} for column in good if column != "user_id" for n, v in enumerate(values)
    ]
    source, request = identity.folder / "source", identity.folder / "request"
    source.write_text("\n".join(json.dumps(row) for row in rows))
    identity.web(5, "zoe.1", user_id_hash=hash_name(PLANTED["user_id"], SALT))
    said = []
    for limit, code in (("5", 3), ("100", 0)):
        arguments = ("--format", "ndjson", "--default-country", "GB", "--max-bad-pct", limit)
        ended, words = identity.run("ingest-events", str(source), *arguments)
        assert code == ended, words
        said.append(words)
    source.unlink()
    assert identity.stitch()["persons"] >= 1
    why = ("--why", "request 17", "--default-country", "GB", "--file", str(request))
    for options, value, code in (
        (("--email",), PLANTED["email"], 0),
        (("--email",), PLANTED["phone"], 1),
        (("--phone",), PLANTED["email"], 1),
        (("--email", "--max-ids", "1"), PLANTED["email"], 4),
        (("--phone", "--delete"), PLANTED["phone"], 0),
    ):
        request.write_text(value)
        ended, words = identity.run("forget", *options, *why)
        assert code == ended, words
        said.append(words)
    request.unlink()
    tables = [str(identity.all(contract.name)) for contract in all_contracts()]
    files = [file.read_bytes() for file in sorted(identity.folder.iterdir()) if file.is_file() and file.name != "salt"]
    assert len(identity.all("control.quarantine")) > 3
    for trace in TRACES:
        assert trace not in " ".join([*tables, *said]).lower()
        assert all(trace.encode() not in content.lower() for content in files)
    assert hash_name(PLANTED["user_id"], SALT) not in " ".join(tables)
