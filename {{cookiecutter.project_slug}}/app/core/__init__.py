"""Settings, errors, security and logging, which every layer may use."""
