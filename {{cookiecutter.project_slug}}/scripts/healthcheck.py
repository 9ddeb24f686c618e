"""Check the health of the service in this container: `python scripts/healthcheck.py /livez`.

Exits with 0 if the service answers the path with 200, and with 1 otherwise.
"""

import http.client
import os
import sys

# Less than the time-out of the health check, so that there is a message.
TIMEOUT_SECONDS = 4


def main(path: str) -> int:
    port = int(os.environ.get("PORT") or 8000)
    # "localhost" is IPv4 and IPv6, whichever HOST is. This module ignores HTTP_PROXY.
    connection = http.client.HTTPConnection("localhost", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        answer = str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        answer = repr(error)
    print(f"GET {path}: {answer}")
    return 0 if answer == "200" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
