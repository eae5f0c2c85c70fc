"""Files, errors and JSON: what every other package reads and writes with."""
