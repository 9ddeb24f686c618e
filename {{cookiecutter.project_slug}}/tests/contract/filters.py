"""Schemathesis loads this module, which decides about the generated requests, in each role."""

from typing import Any

import schemathesis
from hypothesis import strategies as st

# Schemathesis's own addresses end in `.test`, a reserved domain that the service rejects.
schemathesis.openapi.format("email", st.from_regex(r"[a-z0-9]{1,20}@example\.com", fullmatch=True))


@schemathesis.hook
def filter_case(_context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Leave out addresses of the same domain, and query parameters that the document doesn't name.

    The addresses are generated for tests of lengths. Like most services, this one ignores unknown
    parameters, which Schemathesis respects except where it generates a number as text.
    """
    email = case.body.get("email") if isinstance(case.body, dict) else None
    return not (str(email).endswith(".test") or "x-schemathesis-unknown-property" in case.query)
