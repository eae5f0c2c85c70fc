"""Telling the author of an agent what is wrong with it."""
