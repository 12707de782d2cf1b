"""A Ralph run: asked for, driven, at home, far away; its PRD's file."""
