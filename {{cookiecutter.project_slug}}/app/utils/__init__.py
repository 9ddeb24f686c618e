"""Mail and rate limits."""
