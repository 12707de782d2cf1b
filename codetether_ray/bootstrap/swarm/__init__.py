"""A swarm: asked for, driven, at home."""
