"""Logs hold no token, secret, e-mail address or phone number, wherever in an event it stands (M14)."""

import pytest
import structlog

from tasks.core.log import configure, get_logger, redact

OPAQUE = "kQ9zT4w7Lm2x"
PEM = f"-----BEGIN PRIVATE KEY-----\n{OPAQUE}\n{OPAQUE}=\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {OPAQUE}",
        f"authorization: bearer {OPAQUE}.{OPAQUE}",
        f"ya29.{OPAQUE}",
        f"1//{OPAQUE}{OPAQUE}",
        f"https://graph.test/v1?access_token={OPAQUE}&fields=id",
        f'{{"refresh_token": "{OPAQUE}", "x": 1}}',
        f"developer-token: {OPAQUE}",
        f"developer_token='{OPAQUE}'",
        f"PASSWORD={OPAQUE}",
        f"access_token: Bearer {OPAQUE}",
        f"appsecret_proof={OPAQUE}",
        f'"private_key": "{PEM}"',
        f"key\n{PEM}\nend",
        f"cut off -----BEGIN RSA PRIVATE KEY-----\n{OPAQUE}",
    ],
)
def test_secrets_are_cut_out(text: str) -> None:
    """Bearer and OAuth tokens, key=value secrets in URLs and JSON, PEM blocks: nothing of the secret is left (M14)."""
    assert OPAQUE not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize("text", ["wrote to maria.lopez+ads@example.co.uk today", "call +49 (30) 1234-5678", "+12025550123"])
def test_personal_data_is_cut_out(text: str) -> None:
    """E-mail addresses and international phone numbers (M14)."""
    assert "[redacted]" in redact(text)
    assert "example" not in redact(text)
    assert "5678" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "budget 4000000001 holds 420000000 micros, ours is 400000000",
        "google_ads-2000000001-2026-03-02-032b99ba375b",
        "expired at 2026-03-03 08:00 UTC; +5.0 %",
    ],
)
def test_what_a_person_needs_stays(text: str) -> None:
    """Ids, amounts and times are no secrets."""
    assert redact(text) == text


def test_events_are_cleaned_at_every_depth(capsys: pytest.CaptureFixture[str]) -> None:
    """Also in lists, mappings, exceptions, tracebacks, and where only the key tells that the value is secret (M14)."""
    configure("INFO")
    try:
        raise RuntimeError(f"refused: access_token={OPAQUE}")
    except RuntimeError as error:
        get_logger("test").exception(
            "call failed",
            error=error,
            password=OPAQUE,
            config={"developer_token": OPAQUE, "rows": 3},
            urls=[f"https://x.test/?access_token={OPAQUE}"],
            rows=7,
        )
    structlog.reset_defaults()
    written = capsys.readouterr().err
    assert OPAQUE not in written
    assert "call failed" in written
    assert "rows=7" in written
    assert "'rows': 3" in written


def test_events_below_the_level_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """And stdout, which jobs print results on, stays clean."""
    configure("WARNING")
    get_logger("test").info("small")
    get_logger("test").warning("big", count=2)
    structlog.reset_defaults()
    out, err = capsys.readouterr()
    assert out == ""
    assert "small" not in err
    assert "count=2" in err
