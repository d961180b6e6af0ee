"""``aelp2 forget``: delete a person, or everything that is too old."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import click

from tasks.core.cli_options import run_date_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from tasks.identity.forgetting import Id

# How ids are named on the command line: the kind, and what makes an id of a value as a person writes it.
_CLEAR = {"email": "email_sha256", "phone": "phone_sha256", "user-id": "user_id_hash"}
_PLAIN = {"user-pseudo-id": "user_pseudo_id", "gclid": "gclid", "fbclid": "fbclid", "ttclid": "ttclid", "li-fat-id": "li_fat_id"}


def _kind_options[F: Callable[..., object]](function: F) -> F:
    for name in reversed((*_CLEAR, *_PLAIN)):
        function = click.option(f"--{name}", "kind", flag_value=name, default=None, help=f"The values are of kind {name}.")(
            function
        )
    return function


def ids_of(kind: str, lines: list[str], salt: bytes, country: str | None) -> set[Id]:
    """Ids of the values on ``lines``, hashed as the loads hash them; JobError names the line of a wrong one, never its value."""
    from tasks.core.errors import JobError
    from tasks.core.personal import PersonalValueError, hash_email, hash_phone
    from tasks.core.redaction import hash_name

    found: set[Id] = set()
    for number, line in enumerate(lines, 1):
        value = line.strip()
        if not value:
            continue
        try:
            if kind == "email":
                value = hash_email(value)
            elif kind == "phone":
                value = hash_phone(value, country)
            elif kind == "user-id":
                value = str(hash_name(value, salt))
        except PersonalValueError as error:
            raise JobError(f"line {number}: {error}; nothing was deleted") from None
        found.add((_CLEAR.get(kind) or _PLAIN[kind], value))
    if not found:
        raise JobError("no value was given; write one a line on standard input, or name a file with --file")
    return found


def _lines(path: str) -> list[str]:
    from tasks.core.errors import JobError

    try:
        with click.open_file(path, encoding="utf-8-sig") as text:
            return [str(line) for line in text]
    except OSError as error:
        raise JobError(f"the file of values cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise JobError("the file of values is not UTF-8 text; nothing was deleted") from None


def _check_reason(why: str | None) -> str:
    import re

    if not (why and why.strip()):
        raise click.UsageError('say why: --why "request 17"')
    if "@" in why or re.search(r"\d[\d ()-]{6,}\d", why):
        raise click.UsageError("--why is kept and must hold no address or number of a person; write for example the request's id")
    return why.strip()


@click.command("forget")
@_kind_options
@click.option("--older-than-days", type=click.IntRange(min=30), help="Instead: rows with ids of people that are older.")
@click.option("--file", default="-", type=click.Path(allow_dash=True), help="File of values; standard input if left out.")
@click.option("--default-country", help="Country of phone numbers without a code, two letters such as US.")
@click.option("--only-these", is_flag=True, help="Not the person's other ids.")
@click.option("--max-ids", default=1000, show_default=True, type=click.IntRange(min=1), help="Refuse if there are more ids.")
@click.option("--why", help="Reason; it is kept, so it must not say who.")
@click.option("--delete", "do_delete", is_flag=True, help="Delete; without it rows are only counted.")
@run_date_option
def command(
    *,
    kind: str | None,
    older_than_days: int | None,
    file: str,
    default_country: str | None,
    only_these: bool,
    max_ids: int,
    why: str | None,
    do_delete: bool,
    run_date: date,
) -> None:
    """Delete a person from every table that holds an id of a person, or (--older-than-days) all that is too old.

    Values are read from standard input or a file, one a line, never from the command line, which every user of the machine can
    see. Without --delete nothing is deleted: the rows are counted. With it the person's other ids are forgotten too, as far as
    gaelp_users.identity_nodes knows them; only keyed hashes of the ids stay, by which later loads drop what comes again.

    \b
    aelp2 forget --email --why "request 17" --run-date 2026-03-02 --file request.txt
    aelp2 forget --user-pseudo-id --only-these --why "request 18" --delete --run-date 2026-03-02 --file ids.txt
    aelp2 forget --older-than-days 395 --delete --run-date 2026-03-02

    Exit codes: 1 a value is none, 4 more ids than --max-ids.
    """
    from tasks.core import xcom
    from tasks.core.personal import check_country
    from tasks.core.redaction import load_salt
    from tasks.core.settings import load_settings
    from tasks.core.warehouse import open_warehouse
    from tasks.identity import forgetting

    if (kind is None) == (older_than_days is None):
        raise click.UsageError("say what to forget: one of --email, --phone, --user-id, …, or --older-than-days")
    settings = load_settings()
    warehouse = open_warehouse(settings)
    if older_than_days is not None:
        rows, what = forgetting.sweep(warehouse, run_date, older_than_days, do_delete=do_delete), "old rows"
    else:
        reason = _check_reason(why)
        salt = load_salt(settings.name_salt_file, may_create=False)
        ids = ids_of(str(kind), _lines(file), salt, check_country(default_country))
        if not only_these:
            ids = forgetting.with_whole_persons(warehouse, ids)
        what = f"rows of {len(ids):,} ids"
        rows = forgetting.forget(warehouse, ids, salt=salt, why=reason, run_date=run_date, max_ids=max_ids, do_delete=do_delete)
    for table, number in sorted(rows.items()):
        click.echo(f"{table}: {number:,}")
    xcom.push({"deleted": do_delete, "rows": rows})
    total = sum(rows.values())
    click.echo(f"{total:,} {what} {'were deleted' if do_delete else 'would be deleted; say --delete'}")
