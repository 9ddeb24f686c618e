"""Queries, the only SQL of the service. They may flush, but never commit."""
