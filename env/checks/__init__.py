"""Checks of other people's agents and environments."""
