"""The cluster: Ray shells around the plain classes of local/."""
