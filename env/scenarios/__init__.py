"""The task of a corpus, and the scenarios on it, which differ in reference tasks, text, agents and rates."""

from .distribution import ScenarioDistribution
from .scenario import Scenario
from .task import Task

__all__ = ["Scenario", "ScenarioDistribution", "Task"]
