"""Agreement, memorisation and attribution, with their uncertainty (theory §6)."""
