"""Settings, errors, security and logging: what every layer may use."""
