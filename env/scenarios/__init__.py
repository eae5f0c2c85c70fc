"""What is to be learned from: the task of a corpus, and the scenarios that differ in text, agents and rates."""

from .distribution import ScenarioDistribution
from .scenario import Scenario
from .task import Task

__all__ = ["Scenario", "ScenarioDistribution", "Task"]
