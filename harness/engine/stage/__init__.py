"""One stage in a worker: what it is handed, what it runs, what it may read."""
