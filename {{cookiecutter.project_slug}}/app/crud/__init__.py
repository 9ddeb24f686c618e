"""Queries: the only place where SQL is written. Functions flush at most; they never commit."""
