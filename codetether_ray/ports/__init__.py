"""Ports: Protocols that say what the program needs from the world, and what is promised."""
