"""The toy that `PretrainGym/Surrogate-v1` is where no other setting is given, and its scenarios."""

from functools import partial
from pathlib import Path

from ...lm.corpus.corpus import Corpus
from ...lm.ingest.synthetic import DOMAINS, build_synthetic
from ..agents.registry import default_agents, make_agents
from ..scenarios.distribution import PLAIN, ScenarioDistribution
from ..scenarios.task import Task
from .default_corpus import built_once, cache_folder
from .surrogate_setting import SurrogateSetting

TOY_SCENARIOS = ScenarioDistribution(vary=(*PLAIN, "text"))


class ToySetting(SurrogateSetting):
    """A surrogate on which it shows whether a policy learns. Formulas, clock and defaults are `SurrogateSetting`'s; the
    corpus and the agents differ where none are named."""

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The task of the built corpus in that folder; without one, of the synthetic one that has a reference task for
        each of its five domains, built in a second on first use."""
        if corpus is not None:
            return super().open_task(corpus)
        return self.task(built_once(cache_folder() / "synthetic-five-tasks-0", partial(build_synthetic, tasks=DOMAINS)))

    def task(self, corpus: Corpus) -> Task:
        """The task of `corpus`. Where no agents are named: null and those that the corpus has labels of and feedback
        does not move (all default ones, if it has none such)."""
        if self.agents:
            return super().task(corpus)
        agents = default_agents(corpus)
        fixed = tuple(agent.name for agent in make_agents(agents, corpus) if agent.has_column and not agent.moves)
        return Task(corpus, self.context, ("null", *fixed) if fixed else agents)
