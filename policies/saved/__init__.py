"""Learned policies on disk: their card, their weights and those that come with the package."""
