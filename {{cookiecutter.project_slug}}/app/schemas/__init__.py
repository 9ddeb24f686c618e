"""Shapes of requests and responses (Pydantic)."""
