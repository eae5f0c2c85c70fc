"""What test_plugin.py runs in a process of its own, with a package of agents on the path: argv is a corpus that may be
changed and a saved policy; stdout is JSON of what was seen."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pretraingym.env import check_agent
from pretraingym.env.agents.labelling import label_corpus
from pretraingym.env.agents.plugins import kinds
from pretraingym.env.agents.registry import make_agent, make_labellers
from pretraingym.env.episode_config import EpisodeConfig
from pretraingym.env.gym_envs.vector_env import ConsoleVectorEnv
from pretraingym.env.observation.observation import Observation
from pretraingym.env.scenarios.distribution import PLAIN, ScenarioDistribution
from pretraingym.env.settings.setting import Setting
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.corpus.writer import add_labels
from pretraingym.policies.actors.actor import ObservationTensors
from pretraingym.policies.saved.storage import load_policy

BROUGHT = ("shortness", "brevity")


def main(corpus_folder: Path, policy_folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {"kinds": sorted(kinds()), "loaded_from": sys.modules["short_text_agents"].__file__}
    corpus = Corpus.open(corpus_folder)
    labels = label_corpus(
        corpus.texts, corpus.splits, corpus.labels["domain"], agents=make_labellers(BROUGHT, corpus.reference_tasks)
    )
    corpus = add_labels(corpus, labels)
    seen["values"] = {name: corpus.labels[name].values for name in BROUGHT}
    letters = np.array([len(text) / (1 + text.count(" ")) for text in corpus.texts])
    seen["letters"] = [letters[corpus.labels["shortness"].column == label].mean() for label in range(5)]
    for name in BROUGHT:
        check_agent(make_agent(name, corpus), corpus)

    clock = EpisodeConfig(
        num_intervals=3, steps_per_interval=4, batch_windows=8, warmup_steps=2, probe_windows=24, reference_windows=8,
        validation_windows=8, final_windows=16,
    )  # fmt: skip
    setting = Setting(width=16, context=16, lr_warmup_steps=2, episode=clock, agents=("null", "domain", *BROUGHT))
    env = ConsoleVectorEnv(2, corpus=corpus_folder, setting=setting, distribution=ScenarioDistribution(vary=PLAIN))
    batch, _ = env.reset(seed=0)
    policy = load_policy(policy_folder)
    policy.reset(env.agent_names, env.num_envs)
    seen |= {"agents": env.agent_names, "trained_with": policy.card.agents, "action": env.single_action_space.shape}
    seen |= {"rows": [], "masks": [], "chosen": [], "in_force": []}
    for _ in range(env.horizon):
        observation = Observation.of_batch(batch)
        seen["rows"].append(observation.agents.tolist())
        seen["masks"].append(observation.mask.tolist())
        seen["chosen"].append(policy.act(observation).tolist())
        with torch.no_grad():
            action = policy.actor(*ObservationTensors.of(observation))
        batch, _, _, _, info = env.step(action.numpy())
        seen["in_force"].append(info["weights"].tolist())
    return seen


if __name__ == "__main__":
    print(json.dumps(main(*map(Path, sys.argv[1:]))))
