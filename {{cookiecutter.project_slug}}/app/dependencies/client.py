"""The client that sent a request."""

from ipaddress import IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.core.client import Client

_USER_AGENT_LENGTH = 400


async def get_client(connection: HTTPConnection) -> Client:
    user_agent = connection.headers.get("user-agent")
    return Client(
        user_agent=user_agent[:_USER_AGENT_LENGTH] if user_agent else None,
        ip_address=_parse_address(connection.client.host) if connection.client else None,
    )


def _parse_address(host: str) -> str | None:
    try:
        parsed = ip_address(host)
    except ValueError:
        return None  # a proxy may put anything into X-Forwarded-For
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed)))  # without its zone
    return str(parsed)


ClientDep = Annotated[Client, Depends(get_client)]
