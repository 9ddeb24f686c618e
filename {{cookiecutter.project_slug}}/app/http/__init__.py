"""The web shell. You need not read it to work on the service: it has no business rules.

It consists of middleware, request limits, problem details, strict JSON, the OpenAPI document, the
docs page and code that depends on the server. It imports app/core and app/schemas only.
"""
