"""Fakes and servers for tests, shipped so that others can test too."""
