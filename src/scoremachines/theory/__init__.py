"""The objects of the theory: noise, locality, positions, the posterior (theory §1–§3)."""
