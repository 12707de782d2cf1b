"""The way in for machines: A2A, REST and gRPC behind one door, on Ray Serve or in one process."""
