"""A session's turn: asked for, driven, at home."""
