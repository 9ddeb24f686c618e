"""Security events: one log line each, for alerts and audits. docs/security.md lists them."""

import logging
from collections import Counter
from typing import Literal
from uuid import UUID

logger = logging.getLogger("app.security")

SecurityEvent = Literal[
    "access-denied",
    "account-created",
    "account-deleted",
    "email-changed",
    "email-verified",
    "login-blocked",
    "login-failed",
    "password-change-failed",
    "password-changed",
    "password-reset",
    "rate-limited",
    "refresh-token-reused",
    "rights-changed",
    "session-opened",
    "session-revoked",
    "sessions-revoked",
]
# An attack looks like many of these.
_SUSPICIOUS: set[SecurityEvent] = {
    "access-denied",
    "login-blocked",
    "login-failed",
    "password-change-failed",
    "rate-limited",
    "refresh-token-reused",
}

# Since the start of this process, for metrics.
event_counts: Counter[SecurityEvent] = Counter()


def log_security_event(
    event: SecurityEvent,
    *,
    account_id: UUID | None = None,
    session_id: UUID | None = None,
    **fields: str | bool,
) -> None:
    """Log what happened to an account. *fields* must not be secret or personal.

    The line also has the fields of every line of a request: `client`, its address, and `user_id`,
    who is signed in.
    """
    event_counts[event] += 1
    ids = {"account_id": account_id, "session_id": session_id}
    given = {name: str(value) for name, value in ids.items() if value is not None}
    level = logging.WARNING if event in _SUSPICIOUS else logging.INFO
    logger.log(level, event, extra={**given, **fields})
