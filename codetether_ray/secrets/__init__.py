"""Secret stores: Vault, and an encrypted file."""
