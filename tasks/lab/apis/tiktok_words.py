"""What TikTok's calls have in common: lists as JSON text in the query, pages by number, refusals by code."""

import json
from collections.abc import Callable, Set
from typing import Any

from tasks.lab.apis.server import SMALL_PAGE, Request, page

MAX_PAGE = 1000
PARAMETERS = 40002


class BadRequestError(Exception):
    """A call that is refused with ``code``; the text is TikTok's message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def whole(value: Any, name: str) -> list[str]:
    """``value`` as the list of strings it must be."""
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadRequestError(PARAMETERS, f"{name}: must be a list of strings.")
    return value


def listed(request: Request, name: str, known: Set[str] | None = None) -> list[str]:
    """The list of strings in parameter ``name``, empty if it is absent; each must be in ``known``."""
    try:
        value = json.loads(request.query.get(name, "[]"))
    except ValueError:
        raise BadRequestError(PARAMETERS, f"{name}: is not a valid JSON list.") from None
    found = whole(value, name)
    if known is not None and (strange := [one for one in found if one not in known]):
        raise BadRequestError(PARAMETERS, f"{name}: Invalid value: {strange}.")
    return found


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadRequestError(PARAMETERS, f"{name}: must be 1 to {most}.")
    return int(text)


def cut(request: Request, rows: list[dict[str, Any]], broken: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """``data`` of the page that is asked for, with the request's faults."""
    number, size = _number(request, "page", 1, 1_000_000), _number(request, "page_size", 10, MAX_PAGE)
    size = min(size, SMALL_PAGE) if request.small_pages else size
    part, _ = page(rows, (number - 1) * size, size, request, broken)
    info = {"page": number, "page_size": size, "total_number": len(rows), "total_page": -(-len(rows) // size)}
    return {"list": part, "page_info": info}
