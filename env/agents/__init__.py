"""The data-selection methods, one a file: an agent is a scorer of documents."""

from .base import Agent, Feedback, LabelAgent, Layout

__all__ = ["Agent", "Feedback", "LabelAgent", "Layout"]
