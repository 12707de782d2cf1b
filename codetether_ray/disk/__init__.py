"""What is written to stay: files that grow, group commit, and the seam for a bad disk in tests."""
