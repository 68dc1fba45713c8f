"""The offline HTML page of a table."""
