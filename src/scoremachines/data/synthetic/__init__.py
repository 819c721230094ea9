"""Sets that come with the package, and crafted sets with a judge (theory §6)."""
