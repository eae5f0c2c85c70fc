"""What a policy sees: features of every agent and of the training, and the probe they are measured on."""
