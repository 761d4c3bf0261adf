"""What every selector is composed of: cluster, allocate, draw."""
