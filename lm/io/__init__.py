"""Files, logs, arrays, typed JSON and errors: what every other package reads and writes with."""
