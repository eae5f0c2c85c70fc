"""The data-selection methods, one a file.

An agent here scores documents, as in arXiv 2410.08102. It is not the actor of reinforcement learning: that is the
policy, which weighs the agents.
"""

from .base import Agent, Feedback, LabelAgent, Layout

__all__ = ["Agent", "Feedback", "LabelAgent", "Layout"]
