"""Cursors: signed positions in a sorted list, opaque to the client."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from app.core.exceptions import InvalidCursorError
from app.core.security import decode_token, encode_token

_LIFETIME = timedelta(days=1)


class Position(NamedTuple):
    """The last row of a page: the next one begins after it, whether or not the row is still there."""

    value: str | datetime
    id: UUID


def encode_cursor(key: str, sort: str, position: Position) -> str:
    value = position.value
    claims = {
        "sort": sort,
        "value": value.isoformat() if isinstance(value, datetime) else value,
        "time": isinstance(value, datetime),
        "id": str(position.id),
    }
    return encode_token(key, "cursor", claims, _LIFETIME)


def decode_cursor(key: str, sort: str, cursor: str) -> Position:
    """Raises InvalidCursorError for a cursor that is not ours, is a day old or is of another sort."""
    claims = decode_token(key, "cursor", cursor)
    if claims is None or claims["sort"] != sort:
        raise InvalidCursorError
    value = claims["value"]
    return Position(datetime.fromisoformat(value) if claims["time"] else value, UUID(claims["id"]))
