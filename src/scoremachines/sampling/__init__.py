"""From noise to images, with provenance (theory §1.3, §6.3)."""
