"""The Gymnasium environments: one run, or many side by side, each paired with a run under natural."""
