"""E-mail addresses and phone numbers: one normal form, one hash, and refusals that never repeat the value."""

from __future__ import annotations

import hashlib

import pytest

from tasks.core.errors import JobError
from tasks.core.personal import PersonalValueError, check_country, hash_email, hash_phone, normalise_email, normalise_phone

# Digests worked out with sha256sum, not with our code: `printf %s janedoe@gmail.com | sha256sum`.
JANE_GMAIL = "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69"
US_NUMBER = "cb6880e416769253645cb9c6b8989154bf66a56a77fc14c81fb1019663cbb928"


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("jane@example.com", "jane@example.com"),
        ("  Jane@Example.COM\t\r\n", "jane@example.com"),
        ("jane.doe@gmail.com", "janedoe@gmail.com"),
        ("J.a.n.e.D.o.e+news+more@GMAIL.com", "janedoe@gmail.com"),
        ("Jane.Doe@googlemail.com", "janedoe@gmail.com"),
        ("jane.doe+news@example.com", "jane.doe+news@example.com"),
        ("jane.doe@mygmail.com", "jane.doe@mygmail.com"),
        ("jane.doe@gmail.com.br", "jane.doe@gmail.com.br"),
        ("ＪＡＮＥ＠ｅｘａｍｐｌｅ．ｃｏｍ", "jane@example.com"),
        ("\u200bjane@exam\u00adple.com\ufeff", "jane@example.com"),
        ("\u00a0jane@example.com\u3000", "jane@example.com"),
        ("o'brien_x-1@sub.example.co.uk", "o'brien_x-1@sub.example.co.uk"),
        ("JOSE\u0301@example.es", "josé@example.es"),
        ("straße@example.de", "straße@example.de"),
        ("post@MÜNCHEN.example", "post@münchen.example"),
    ],
)
def test_an_address_has_one_normal_form(text: str, normal: str) -> None:
    """Case, blanks, invisible and full-width letters never matter; dots and +tags do not at Gmail and do elsewhere."""
    assert normal == normalise_email(text)
    assert hashlib.sha256(normal.encode()).hexdigest() == hash_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jane",
        "jane@",
        "@example.com",
        "jane@doe@example.com",
        "Jane Doe <jane@example.com>",
        "mailto:jane@example.com",
        "jane@localhost",
        "jane@example.com.",
        "jane@-example.com",
        "jane@192.168.0.1",
        ".jane@example.com",
        "jane..doe@example.com",
        "+tag@gmail.com",
        "jane@example.com, joe@example.com",
        "x" * 65 + "@example.com",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    """The reason says what is wrong and holds nothing of the value."""
    with pytest.raises(PersonalValueError) as refused:
        hash_email(text)
    assert "jane" not in str(refused.value).lower()


@pytest.mark.parametrize(
    ("text", "country", "normal"),
    [
        ("+14155552671", None, "+14155552671"),
        (" (415) 555-2671 ", "US", "+14155552671"),
        ("1 415.555.2671", "US", "+14155552671"),
        ("+1 415 555 2671 ext. 89", None, "+14155552671"),
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("0171/1234567", "DE", "+491711234567"),
        ("+49 (0)171 1234567", None, "+491711234567"),
        ("00491711234567", "DE", "+491711234567"),
        ("+39 06 698 82345", None, "+390669882345"),
        ("8 (912) 345-67-89", "RU", "+79123456789"),
        ("１４１５５５５２６７１", "US", "+14155552671"),
        ("\u202a+1 415 555 2671\u202c", None, "+14155552671"),
        ("+44 20 7946 0958", "DE", "+442079460958"),
    ],
)
def test_a_number_has_one_normal_form(text: str, country: str | None, normal: str) -> None:
    """However it is written or dialled, a number is its E.164 form; Italy keeps its 0, an extension drops."""
    assert normal == normalise_phone(text, country)
    assert hashlib.sha256(normal.encode()).hexdigest() == hash_phone(text, country)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("", "US"),
        ("4155552671", None),
        ("555-2671", "US"),
        ("0000000000", "US"),
        ("+999123456789", None),
        ("call 4155552671 or 4155552672", "US"),
        ("jane@example.com", "US"),
        ("+1415555267" + "1" * 60, None),
    ],
)
def test_what_is_no_number_is_refused_without_repeating_it(text: str, country: str | None) -> None:
    """No country, no such number, too short, too long, an address: refused, and no digit of it is in the reason."""
    with pytest.raises(PersonalValueError) as refused:
        hash_phone(text, country)
    assert not any(c.isdigit() for c in str(refused.value))


def test_known_digests() -> None:
    """The hash is the plain SHA-256 of the normal form: digests made by another program."""
    assert hash_email("Jane.Doe+x@GoogleMail.com") == JANE_GMAIL
    assert hash_phone("(415) 555-2671", "US") == US_NUMBER


def test_a_hash_passes_as_it_is() -> None:
    """What arrives hashed is kept, in lower case; a clear value and its hash are then the same person."""
    digest = hash_email("jane@example.com")
    assert digest == hash_email(f" {digest.upper()} ")
    assert digest == hash_phone(digest, None)


@pytest.mark.parametrize("text", ["", "null", "undefined", "n/a"])
def test_the_hash_of_nothing_is_refused(text: str) -> None:
    """A file full of SHA-256("") would make all its rows one person."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(PersonalValueError, match="hash of an empty"):
        hash_email(digest)
    with pytest.raises(PersonalValueError, match="hash of an empty"):
        hash_phone(digest, "US")


@pytest.mark.parametrize("digest", ["a" * 63, "a" * 65, "g" * 64])
def test_what_only_looks_like_a_hash_is_refused(digest: str) -> None:
    """64 hex digits, no more, no less."""
    with pytest.raises(PersonalValueError):
        hash_email(digest)


def test_the_default_country_is_checked() -> None:
    """None and a country are taken, anything else is named."""
    assert check_country(None) is None
    assert check_country("DE") == "DE"
    for wrong in ("de", "XX", "Germany", ""):
        with pytest.raises(JobError, match="is no country"):
            check_country(wrong)
