from app.core import limits
from app.core.config import Settings


def test_unavailability_is_answered_within_six_seconds() -> None:
    """A request waits for a slot, for a connection, and for this to be opened or checked."""
    at_database = max(limits.CONNECT_TIMEOUT_SECONDS, limits.PING_TIMEOUT_SECONDS)
    assert limits.SLOT_WAIT_SECONDS + limits.POOL_TIMEOUT_SECONDS + at_database < 6


def test_budget_holds_with_the_default_settings() -> None:
    default = Settings.model_fields["database_pool_timeout"].default
    assert default == limits.POOL_TIMEOUT_SECONDS


def test_ordinary_long_heads_reach_the_middleware() -> None:
    assert limits.MAX_URL_BYTES + limits.MAX_HEADER_BYTES < limits.MAX_RAW_HEAD_BYTES
    assert limits.MAX_URL_BYTES < limits.MAX_RAW_URL_BYTES
