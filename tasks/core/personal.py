"""E-mail addresses and phone numbers leave the door only as SHA-256 of one normal form, the form Google and Meta match on.

The hash carries no salt: customer match compares it with the platform's own hashes. Whoever knows an address can recompute
its hash, so the columns that hold one are marked as personal data. Ids of the business's own (user ids, order ids) are hashed
with the salt, see :func:`tasks.core.redaction.hash_name`.

No message of this module repeats the value it refuses.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from tasks.core.errors import JobError

_GOOGLE_MAIL = {"gmail.com", "googlemail.com"}
_LOCAL = re.compile(r"[^\s@\"(),:;<>\[\]\\]{1,64}")
_LABEL = re.compile(r"[^\W_](?:[\w-]{0,61}[^\W_])?")
_COUNTRY = re.compile(r"[A-Z]{2}")
_HEX = re.compile(r"[0-9a-f]{64}")
# What exports write where there is nothing; "" is in, whose hash stands in many files.
_PLACEHOLDERS = ("", "null", "none", "nan", "n/a", "na", "undefined", "unknown", "-")
_EMPTY_HASHES = frozenset(hashlib.sha256(text.encode()).hexdigest() for text in _PLACEHOLDERS)


class PersonalValueError(ValueError):
    """The value is no address or number that can be matched; the message says why and never repeats the value."""


def _folded(text: str) -> str:
    """``text`` in NFKC (full-width letters become plain), without invisible characters, trimmed."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Cc") or c.isspace()).strip()


def normalise_email(text: str) -> str:
    """The normal form of an address: NFKC, trimmed, lower case; Gmail's dots and +tags dropped, googlemail.com as gmail.com.

    >>> normalise_email(" Jane.Doe+shop@GoogleMail.com ")
    'janedoe@gmail.com'
    """
    folded = _folded(text).lower()
    local, at, domain = folded.rpartition("@")
    if not at or "@" in local:
        raise PersonalValueError("an e-mail address has exactly one @")
    if not _LOCAL.fullmatch(local) or local.startswith(".") or local.endswith(".") or ".." in local:
        raise PersonalValueError("the part before the @ is no mailbox name")
    labels = domain.split(".")
    if len(labels) < 2 or len(domain) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise PersonalValueError("the part after the @ is no domain name")
    if domain in _GOOGLE_MAIL:
        local, domain = local.split("+")[0].replace(".", ""), "gmail.com"
        if not local:
            raise PersonalValueError("the part before the @ is no mailbox name")
    return f"{local}@{domain}"


def check_country(country: str | None) -> str | None:
    """``country`` if it is None or a country that has phone numbers; JobError otherwise."""
    import phonenumbers

    if country is not None and (not _COUNTRY.fullmatch(country) or country not in phonenumbers.SUPPORTED_REGIONS):
        raise JobError(f"{country!r} is no country; write two capital letters (ISO 3166), for example US")
    return country


def normalise_phone(text: str, country: str | None) -> str:
    """E.164 form of a phone number; one without + is read as dialled in ``country`` (ISO 3166, two letters). Extensions drop.

    >>> normalise_phone("(415) 555-2671 ext. 9", "US")
    '+14155552671'
    """
    import phonenumbers

    folded = _folded(text)
    if len(folded) > 60:
        raise PersonalValueError("the text is too long for a phone number")
    if country is None and not folded.startswith("+"):
        raise PersonalValueError("the number has no country code and there is no default country")
    try:
        number = phonenumbers.parse(folded, country)
    except phonenumbers.NumberParseException as error:
        kind = error.error_type
        is_code = kind == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE
        why = "the country code does not exist" if is_code else "the text is no phone number"
        raise PersonalValueError(why) from None  # the library's message may repeat the number
    if not phonenumbers.is_valid_number(number):
        raise PersonalValueError("no such number can be dialled in its country")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _given_hash(text: str) -> str | None:
    """``text`` if it is a SHA-256 already (64 hex digits, any case); the hash of an empty or stand-in value is refused."""
    candidate = text.strip().lower()
    if not _HEX.fullmatch(candidate):
        return None
    if candidate in _EMPTY_HASHES:
        raise PersonalValueError("it is the hash of an empty value or of a word for none")
    return candidate


def hash_email(text: str) -> str:
    """SHA-256 (64 hex digits) of an address in clear, or the hash itself if the text is one; PersonalValueError otherwise."""
    return _given_hash(text) or _sha256(normalise_email(text))


def hash_phone(text: str, country: str | None) -> str:
    """SHA-256 (64 hex digits) of a number in clear, or the hash itself if the text is one; PersonalValueError otherwise."""
    return _given_hash(text) or _sha256(normalise_phone(text, country))
