"""The web shell. You need not read it to work on the service: it has no rule of yours in it.

Middleware, request limits, problem details, strict JSON, the OpenAPI document, the docs page and
the shutdown. It imports `core` and `schemas` only.
"""
