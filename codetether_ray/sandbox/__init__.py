"""Processes of tools: own group, own environment, bounded output."""
