"""gRPC: one servicer per service."""
