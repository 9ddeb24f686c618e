"""What routes ask FastAPI for: a session, the current user, services, settings, the client."""
