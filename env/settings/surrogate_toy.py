"""The toy that `PretrainGym/Surrogate-v1` is unless a setting is given: which agent helps differs between scenarios."""

from dataclasses import replace
from functools import partial

from ...lm.corpus.corpus import Corpus
from ...lm.ingest.synthetic import DOMAINS, build_synthetic
from ..agents.registry import default_agents, make_agents
from ..scenarios.distribution import PLAIN, ScenarioDistribution
from .default_corpus import built_once, cache_folder
from .surrogate_setting import SurrogateSetting

TOY_SCENARIOS = ScenarioDistribution(vary=(*PLAIN, "text"))


def toy_corpus() -> Corpus:
    """The synthetic corpus with a reference task for each of its five domains, built in a second on first use."""
    return built_once(cache_folder() / "synthetic-five-tasks-0", partial(build_synthetic, tasks=DOMAINS))


def toy_setting(corpus: Corpus) -> SurrogateSetting:
    """`SurrogateSetting()` with null and those agents that the corpus has labels of and feedback does not move (with
    all default agents, if there is none such)."""
    agents = default_agents(corpus)
    fixed = [agent.name for agent in make_agents(agents, corpus) if agent.has_column and not agent.moves]
    return replace(SurrogateSetting(), agents=("null", *fixed) if fixed else agents)
