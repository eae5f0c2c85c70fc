"""Recorded episodes: a file of them, and what a line of it holds."""
