"""What a run's records say to monitoring: measurements, spans, log lines. Never their content."""
