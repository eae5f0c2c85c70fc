"""The console: agents' scores and a weight vector become a distribution over cells."""
