"""A relay: asked for, driven, at home; its objective's gate and scores."""
