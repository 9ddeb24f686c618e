"""Who is calling, as far as the network knows, and the limit of attempts for each of them."""

from ipaddress import IPv6Address, ip_address
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection

from app.dependencies.services import RateLimitsDep
from app.services.auth_service import Client
from app.utils.rate_limit import PER_ADDRESS

_USER_AGENT_LENGTH = 400


async def get_client(connection: HTTPConnection) -> Client:
    user_agent = connection.headers.get("user-agent")
    return Client(
        user_agent=user_agent[:_USER_AGENT_LENGTH] if user_agent else None,
        ip_address=_address(connection.client.host) if connection.client else None,
    )


def _address(host: str) -> str | None:
    try:
        parsed = ip_address(host)
    except ValueError:
        return None  # what a proxy has put into X-Forwarded-For need not be an address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed)))  # without its zone
    return str(parsed)


ClientDep = Annotated[Client, Depends(get_client)]


async def rate_limit_by_ip(client: ClientDep, rate_limits: RateLimitsDep) -> None:
    await rate_limits.hit(PER_ADDRESS, _subscriber(client.ip_address or "unknown"))


def _subscriber(address: str) -> str:
    """An IPv6 subscriber has a whole network of 64 bits."""
    return str(int(ip_address(address)) >> 64) if ":" in address else address


RateLimitByIP = Depends(rate_limit_by_ip)
"""For every route that needs no token."""
