"""Dependencies of routes: database sessions, the current user, services, settings, the client."""
