"""From a benchmark file to a graph of stages: configuration, rows, keys, layout."""
