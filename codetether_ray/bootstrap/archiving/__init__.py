"""Runs go to the archive and come back: what the archive, the journal and the hub are joined by."""
