"""What a learner changes: small modules that turn observations into actions."""
