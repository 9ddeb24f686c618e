"""The rate limit of a client's address."""

from ipaddress import ip_address

from fastapi import Depends

from app.dependencies.client import ClientDep
from app.dependencies.resources import ResourcesDep
from app.utils.rate_limit import PER_IP


async def rate_limit_by_ip(client: ClientDep, resources: ResourcesDep) -> None:
    await resources.rate_limits.hit(PER_IP, _subscriber(client.ip_address or "unknown"))


def _subscriber(address: str) -> str:
    """Return the network of one subscriber: an IPv4 address, or 64 bits of an IPv6 address."""
    return str(int(ip_address(address)) >> 64) if ":" in address else address


# Rate limit per client IP. Every costly route without sign-in needs it.
RateLimitByIP = Depends(rate_limit_by_ip)
