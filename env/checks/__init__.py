"""Checks of agents and environments that others wrote."""
