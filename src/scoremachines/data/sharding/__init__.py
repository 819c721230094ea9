"""Making sets in shards from any source, in bounded memory, to be interrupted and resumed."""
