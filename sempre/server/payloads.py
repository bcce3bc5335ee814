"""JSON as it comes in: read once, and refused as a whole where it could not be kept or given back.

What is taken in is stored, and read back inside lists and pages. So whatever cannot travel that way is refused here,
for every call alike: text that is not UTF-8, lone surrogates, integers beyond 64 bits (which would come back rounded),
and nesting deeper than :data:`MAX_DEPTH`.
"""

import json
import re
from typing import Any

import orjson

__all__ = ["MAX_DEPTH", "is_json", "parse"]

MAX_DEPTH = 200
"""Levels of objects and lists in one body. Answers may nest 254 deep, and wrap what was stored in a few levels."""

_SLACK = 254 - MAX_DEPTH
_BOM = b"\xef\xbb\xbf"
_MANY_DIGITS = re.compile(rb"[0-9]{19}")


def is_json(content_type: str) -> bool:
    """Whether a body of this type is JSON: ``application/json`` and ``application/*+json``."""
    if content_type == "application/json":
        return True
    main, _, sub = content_type.partition(";")[0].strip().lower().partition("/")
    return main == "application" and (sub == "json" or sub.endswith("+json"))


def parse(body: bytes) -> Any:
    """The value of a body that is not empty. Of repeated keys the last counts; NaN and infinities are taken.

    Raises json.JSONDecodeError.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = _parse_rare(body)
        _check(content, body)
    else:
        # No body nests deeper than it opens brackets, which is much faster to know.
        if body.count(b"[") + body.count(b"{") > MAX_DEPTH:
            _check(content, body)
        # The fast parser rounds integers that are too large. Nineteen digits in a row are rare, and mostly in a text.
        if _MANY_DIGITS.search(body):
            _load(body)
    return content


def _parse_rare(body: bytes) -> Any:
    """What the fast parser refuses, though the protocol does not: a byte order mark, NaN and infinities."""
    body = body.removeprefix(_BOM)
    if b"NaN" not in body and b"Infinity" not in body:
        return orjson.loads(body)
    return _load(body)


def _load(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_int=_integer)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from None


def _integer(digits: str) -> int:
    if len(digits) <= 20 and -(2**63) <= (number := int(digits)) < 2**64:
        return number
    raise ValueError("an integer does not fit in 64 bits")


def _check(content: Any, body: bytes) -> None:
    for _ in range(_SLACK):
        content = [content]
    try:
        orjson.dumps(content)
    except TypeError as error:
        reason = f"nested deeper than {MAX_DEPTH} levels" if "ecursion" in str(error) else str(error)
        raise json.JSONDecodeError(reason, "", len(body)) from None
