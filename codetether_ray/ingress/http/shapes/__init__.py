"""What bodies over HTTP look like, so that the API describes itself truly."""
