"""What gives documents their labels, one file an agent."""
