"""Ground floor: files written whole, folders of runs, pictures and figures."""
