"""Policies that are not learned: fixed weights, hand-written rules and a bandit."""
