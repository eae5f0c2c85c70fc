"""The toy that `PretrainGym/Surrogate-v2` is where no other setting is given, and its scenarios."""

from pathlib import Path

from ...lm.corpus.corpus import Corpus
from ...lm.ingest.synthetic import DOMAINS
from ..agents.registry import default_agents, make_agents
from ..scenarios.distribution import PLAIN, ScenarioDistribution
from ..scenarios.task import Task
from .default_corpus import synthetic_corpus
from .surrogate_setting import SurrogateSetting

TOY_SCENARIOS = ScenarioDistribution(vary=(*PLAIN, "text"), nulls=0.0)


class ToySetting(SurrogateSetting):
    """A surrogate on which it shows whether a policy learns. Formulas, clock and defaults are `SurrogateSetting`'s; the
    corpus and the agents differ where none are named.

    On `SurrogateSetting` with a corpus of two tasks, agents that learn from measured influence (influence, domain,
    topic) find the text that helps by themselves, and so even weights gain nearly all: lift is .06 nats over action 0.
    Here none learns: classifiers that were made before the run score the text, as in most mixtures of data, one a task.
    Text of five domains is scored, and the loss of one task, or a mixture of three, counts: what helps one costs
    another, so that no constant gains, and the lift and the agreement in the observation tell which agent helps. The
    text of scenarios differs too, so that how strongly to select, and when to stop, depends on how much useful text
    there is (`TOY_SCENARIOS`; agents are all there, rates are the best ones).

    Returns over 200 episodes that nothing was chosen on, standard errors below .03 (experiments/results/surrogate.md):
    action 0 -.05, the best constant of a search .00, lift .31, stock PPO with 10,000 episodes .39."""

    def open_task(self, corpus: str | Path | None = None) -> Task:
        """The task of the built corpus in that folder; without one, of the synthetic one that has a reference task for
        each of its five domains, built in a second on first use."""
        if corpus is not None:
            return super().open_task(corpus)
        return self.task(synthetic_corpus(DOMAINS))

    def task(self, corpus: Corpus) -> Task:
        """The task of `corpus`. Where no agents are named: null and those that the corpus has labels of and feedback
        does not move (all default ones, if it has none such)."""
        if self.agents:
            return super().task(corpus)
        agents = default_agents(corpus)
        fixed = tuple(agent.name for agent in make_agents(agents, corpus) if agent.has_column and not agent.moves)
        return Task(corpus, self.context, ("null", *fixed) if fixed else agents)
