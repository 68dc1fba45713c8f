"""Artifacts on disk: locks, leases, verification, collection of what nothing needs."""
