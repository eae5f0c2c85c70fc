"""The algorithms that learn a policy, one a file."""
