"""The commands, their configurations, the benchmarks and the committed results."""
