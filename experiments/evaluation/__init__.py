"""What a policy or a model is worth: side by side, on benchmarks, and at best."""
