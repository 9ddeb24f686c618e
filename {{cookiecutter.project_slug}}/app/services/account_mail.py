"""Mails about an account: confirm the address, reset the password.

A request only adds the mails that it wants to its `Outbox`. After the commit and the response,
`AccountMailer` looks the account up, writes the mail and sends it, so response times don't reveal
whether an account exists.
"""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, NamedTuple

from limits import parse

from app.core.config import PROJECT_NAME, Settings
from app.core.security import encode_token
from app.crud.user import Credentials, find_credentials_by_email
from app.db.session import Database
from app.utils.email import Mail, Mailer
from app.utils.rate_limit import Limit, RateLimits

logger = logging.getLogger(__name__)

MailPurpose = Literal["verify-email", "reset-password"]


class _Kind(NamedTuple):
    subject: str
    template: str
    lifetime: timedelta
    valid_for: str
    # Separate counters: asking for one kind of mail must not use up the other's quota.
    limit: Limit


_KINDS: dict[MailPurpose, _Kind] = {
    "verify-email": _Kind(
        f"Confirm your e-mail address for {PROJECT_NAME}",
        "verify_email",
        timedelta(days=2),
        "48 hours",
        Limit("verify-email", parse("5 per hour")),
    ),
    "reset-password": _Kind(
        f"Choose a new password for {PROJECT_NAME}",
        "reset_password",
        timedelta(hours=1),
        "1 hour",
        Limit("reset-password", parse("5 per hour")),
    ),
}


@dataclass
class Outbox:
    """The mails that one request asks for."""

    wanted: list[tuple[MailPurpose, str]] = field(default_factory=list)

    def add(self, purpose: MailPurpose, email: str) -> None:
        self.wanted.append((purpose, email))


class AccountMailer:
    def __init__(
        self, settings: Settings, database: Database, rate_limits: RateLimits, mailer: Mailer
    ) -> None:
        self._settings = settings
        self._database = database
        self._rate_limits = rate_limits
        self._mailer = mailer

    async def send(self, outbox: Outbox) -> None:
        """Hand the mails of a request to the mailer. Errors are only logged."""
        for purpose, email in outbox.wanted:
            try:
                mail = await self._write(purpose, email)
            except Exception as error:  # noqa: BLE001 -- the response has been sent
                # The type only, since the error's text may contain the address.
                reason = type(error).__name__
                logger.error("A mail could not be written", extra={"reason": reason})  # noqa: TRY400 -- see above
            else:
                if mail is not None:
                    self._mailer.send(mail)

    async def _write(self, purpose: MailPurpose, email: str) -> Mail | None:
        """Return None if the account doesn't exist or must not get this mail."""
        user = await find_credentials_by_email(self._database.read_session, email)
        if user is None or not user.is_active:
            return None
        if purpose == "verify-email" and user.is_verified:
            return None
        kind = _KINDS[purpose]
        if not await self._is_within(kind.limit, user):
            return None
        claims = {"sub": str(user.user_id), "stamp": str(user.security_stamp)}
        key = self._settings.secret_key.get_secret_value()
        token = encode_token(key, purpose, claims, kind.lifetime)
        return Mail(
            to=user.email,
            subject=kind.subject,
            template=kind.template,
            context={
                "project_name": PROJECT_NAME,
                "valid_for": kind.valid_for,
                "link": f"{str(self._settings.frontend_url).rstrip('/')}/{purpose}?token={token}",
            },
        )

    async def _is_within(self, limit: Limit, user: Credentials) -> bool:
        # Only mails that are really sent count; otherwise anyone could exhaust the owner's quota.
        # The limit per address keeps mailboxes from being flooded. The limit per account keeps
        # users from sending mail to many strangers by changing their address again and again.
        return await self._rate_limits.allows(limit, user.email) and await self._rate_limits.allows(
            limit, str(user.user_id)
        )
