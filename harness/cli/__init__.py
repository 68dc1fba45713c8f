"""The command line ``wsss``."""
