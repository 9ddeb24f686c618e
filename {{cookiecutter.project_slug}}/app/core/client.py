from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """Where a request comes from, as users see it in the list of their sessions."""

    user_agent: str | None
    ip_address: str | None
