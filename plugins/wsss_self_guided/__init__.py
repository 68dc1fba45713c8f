"""Self-guided dense annotations: affinity walk and guided filter, image tags alone."""
