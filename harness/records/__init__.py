"""Run records, the results of cells: read, marked as verified, grouped and paired."""
