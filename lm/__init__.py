"""Language models and text: knows nothing of agents, weights or reinforcement learning."""
