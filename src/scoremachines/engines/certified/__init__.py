"""The adaptive engine: threshold sampling with a certificate (theory §2.6, §2.7)."""
