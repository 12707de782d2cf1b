"""Settings: files, environment, defaults, and where data is kept."""
