"""Do the libraries that people bring train on this environment? `make compat` asks each in turn."""
