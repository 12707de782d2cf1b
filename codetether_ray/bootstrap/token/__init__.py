"""Ray's token: made, spread to the hosts of a cluster, compared, and changed."""
