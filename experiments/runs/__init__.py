"""Runs on disk: their folders, their corpus, and the pretraining of a target."""
