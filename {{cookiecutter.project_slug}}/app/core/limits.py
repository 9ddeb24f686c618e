"""Size and time limits that aren't settings, in bytes and seconds."""

# Requests wait in order for one of MAX_CONCURRENT_REQUESTS slots. When this many are waiting, the
# next one gets 503 at once. A few hundred clients are ordinary load.
MAX_WAITING_REQUESTS = 400
# A request that can't be served gets 503 in less than six seconds. Before its first statement it
# may wait for a slot, for a connection from the pool, and until that connection has been opened or
# pinged. tests/core/test_limits.py checks the sum.
SLOT_WAIT_SECONDS = 2
POOL_TIMEOUT_SECONDS = 2  # the default of DATABASE_POOL_TIMEOUT
CONNECT_TIMEOUT_SECONDS = 0.75
PING_TIMEOUT_SECONDS = 0.5
# How long to wait until the server has cancelled a statement.
CANCEL_TIMEOUT_SECONDS = 0.5

# The head of a request, checked by the middleware.
MAX_URL_BYTES = 32 * 1024
MAX_HEADER_BYTES = 64 * 1024
# The head of a request, checked on the connection (app/http/protocol.py), for heads that never end.
# These limits are larger, so that an ordinary head that is too long reaches the middleware, which
# logs it and answers with CORS headers.
MAX_RAW_HEAD_BYTES = 128 * 1024
MAX_RAW_URL_BYTES = 65_535  # httptools can't parse longer ones

# A larger body is passed on to its route while it arrives, and isn't kept in memory.
MAX_BUFFERED_BYTES = 1024 * 1024
# Memory for incoming bodies, as a multiple of the largest one that is kept.
MAX_ARRIVING_BODIES = 64
# How long to keep reading from a client after its request has been rejected.
LINGER_SECONDS = 2

# How long an idle connection stays open. A proxy must be the first to close it: otherwise it may send
# a request while the service closes, and answer 502. nginx and AWS's load balancer wait for 60 s.
KEEP_ALIVE_SECONDS = 75
# A client must send the head of a request within this time.
HEAD_TIMEOUT_SECONDS = 10
# A client that reads nothing for this long is disconnected.
WRITE_TIMEOUT_SECONDS = 30
