"""The database: engine, sessions, base of the models, and the first superuser."""
