"""Model providers: wire formats, profiles, prices, tapes."""
