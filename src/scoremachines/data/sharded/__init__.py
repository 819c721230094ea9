"""Training sets in shards: memory-mapped files with a manifest, in a folder or at an address."""
