"""Limits of size and time that are not settings, in one place. Seconds and bytes."""

# A request that can't be served gets 503 in less than two seconds. Before its first statement it
# waits for a slot, for a connection of the pool, and for this connection to be opened or checked;
# tests/core/test_limits.py adds them up.
SLOT_WAIT_SECONDS = 0.5
POOL_TIMEOUT_SECONDS = 0.5  # the default of DATABASE_POOL_TIMEOUT
CONNECT_TIMEOUT_SECONDS = 0.75
PING_TIMEOUT_SECONDS = 0.5

# The head of a request, as the middleware sees it.
MAX_URL_BYTES = 32 * 1024
MAX_HEADER_BYTES = 64 * 1024
# The same on the connection, for heads that don't end. Larger than both together, so that an
# ordinary head that is too long gets the middleware's answer, which has CORS headers and is logged.
MAX_RAW_HEAD_BYTES = 128 * 1024
MAX_RAW_URL_BYTES = 65_535  # httptools parses no more

# Memory for incoming bodies, as a multiple of MAX_BODY_BYTES.
MAX_ARRIVING_BODIES = 64
# How long to go on reading what a rejected client still sends.
LINGER_SECONDS = 2

HEAD_TIMEOUT_SECONDS = 10
# A client that reads nothing for this long is disconnected.
WRITE_TIMEOUT_SECONDS = 30
