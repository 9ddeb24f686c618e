"""The web shell: you need not read it to work on the service, which has none of its rules here.

Middleware, request limits, problem details, strict JSON, the OpenAPI document, the docs page and
what depends on the server. It imports `core` and `schemas` only.
"""
