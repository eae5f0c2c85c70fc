"""ConsoleEnv: one pretraining run as a plain gymnasium environment. Its docstring is the card of both environments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from ...lm.io.errors import InputError
from ..scenarios.distribution import ScenarioDistribution
from ..settings.setting import EpisodeSetting
from .paired_runs import as_actions
from .rendering import METADATA, Frame, frames
from .reset_options import reset_runs, whole_number
from .state import Stateful
from .vector_env import info_of, spaces


class ConsoleEnv(Stateful, gym.Env):
    """One pretraining run: at every interval the agent of reinforcement learning sets the console's weights.

    The console mixes the scores of K data-selection methods (called agents here: scorers of documents) into a
    distribution over the corpus; a language model trains on what is drawn, and its loss on reference tasks falls.

    ## Observation space

    A Dict of three float32 Boxes. `mask` (K,): 1 where an agent is present and takes weight. `agents` (K * F,): F = 23
    features of every agent, agent by agent; the first agent is `null`, which selects nothing; an absent agent has 0.

    | index | feature | minimum | maximum | unit | meaning |
    |---|---|---|---|---|---|
    | 0 | is_null | 0 | 1 | 1 | 1 for the agent that selects nothing, else 0 |
    | 1 | moves | 0 | 1 | 1 | 1 if feedback moves the agent's priorities, 0 if they are static |
    | 2 | weight | 0 | 1 | 1 | console weight in force (before the first decision: that of action 0) |
    | 3 | draw_mean | -5 | 5 | 1 | mean standardised score of the cells under the present draw (corpus mean = 0) |
    | 4 | draw_spread | 0 | 5 | 1 | deviation of the standardised score under the present draw (corpus = 1) |
    | 5 | lift_mean | -5 | 5 | 1 | mean standardised score of the reference tasks' validation documents |
    | 6 | lift_useful | 0 | 5 | 1 | mean over reference tasks of the positive part of the lift |
    | 7 | lift_log | -3 | 2 | 1 | log of lift_useful, which counts as .05 at least |
    | 8 | lift_min | -5 | 5 | 1 | lift_mean of the reference task in play where it is lowest |
    | 9 | lift_error | 0 | 5 | 1 | standard error of lift_mean, from the spread between documents |
    | 10 | lift_sure | 0 | 5 | 1 | lift_mean less two standard errors, 0 at least: what is sure of it |
    | 11 | agreement | -1 | 1 | 1 | correlation of scores with measured influence, pooled over the probes so far |
    | 12 | agreement_t | -1 | 1 | 1 | t-statistic of that correlation, divided by 10 |
    | 13 | agreement_allowed | -1.5 | 1.5 | 1 | agreement over the most that the noise of measured influence allows |
    | 14 | agreement_task_mean | -1 | 1 | 1 | agreement with the influence on one task: mean over those in play |
    | 15 | agreement_task_min | -1 | 1 | 1 | agreement with the influence on one task: lowest of those in play |
    | 16 | ridge | -2 | 2 | 1 | coefficient of its score in a joint ridge regression of influence on all scores |
    | 17 | drift | 0 | 3 | 1 | root mean square change of its standardised scores by the last probe, over the corpus |
    | 18 | seen_gap | -3 | 3 | nats | loss on seen minus unseen windows of the last probe in cells it favours |
    | 19 | paper_reward | -5 | 5 | 1 | R_A of arXiv 2410.08102 eq. 7 over the last probe, influence over its rms |
    | 20 | mix_correlation | -1 | 1 | 1 | token-weighted correlation of its score with the console's mixed score |
    | 21 | epochs_used | 0 | 5 | 1 | log(1 + epochs) already used of the cells the agent favours (score above 1) |
    | 22 | epochs_projected | 0 | 5 | 1 | log(1 + epochs) of those cells if all tokens left were drawn from them alone |

    `statistics` (9,), of the run as a whole:

    | index | feature | minimum | maximum | unit | meaning |
    |---|---|---|---|---|---|
    | 0 | progress | 0 | 1 | 1 | share of the token budget spent |
    | 1 | lr_fraction | 0 | 1 | 1 | learning rate of the coming step over its peak |
    | 2 | loss_fall | -2 | 2 | 1 | fall of the validation loss in the last interval over that of the first |
    | 3 | loss_slope | -2 | 2 | nats | fall of the validation loss per unit of log tokens in the last interval |
    | 4 | train_gap | -5 | 5 | 1 | validation loss minus training loss of the last interval, nats |
    | 5 | scarcity | -5 | 5 | 1 | log10 of tokens left in the budget over tokens of the pool not yet used |
    | 6 | effective_cells | 0 | 1 | 1 | exp(entropy) of the present draw over that of the natural draw |
    | 7 | divergence | 0 | 5 | nats | Kullback-Leibler divergence of the present draw from the natural one |
    | 8 | probe_error | 0 | 1 | 1 | standard error of a correlation over the probe windows pooled so far |

    `env/observation/features.py` has the formula of each. None tells the size of the model or needs the control run.

    ## Action space

    Box(-1, 1, (K,)): how much more of the weight each agent gets. `env/console/action_map.py` maps it to weights that
    sum to 1: a softmax of the action times 4 nats around a base mixture with three quarters on `null`, mixed with 2%
    spread evenly. Action 0 is the base mixture.

    | index | action | minimum | maximum | unit |
    |---|---|---|---|---|
    | k | log-weight of agent k | -1 | 1 | 4 nats |

    ## Reward

    Nats. The fall of the validation loss in the interval; with reward="paired" less that of a hidden control run, which
    trains under natural (no selection) with the same weights, seeds and tokens. The sum over an episode is what was
    gained over natural. A run whose loss is not finite ends with -1.

    ## Start and end

    `reset` draws a scenario (reference tasks, pool of text, agents that are present or noisy, learning rate), starts a
    fresh model and trains 3% of the budget under natural. The episode terminates when the token budget is spent, after
    `horizon` steps, or when the run diverges. It is never truncated: `spec.max_episode_steps` is the horizon, but
    no TimeLimit stands behind it. (`gym.make(env.spec)` would add one, which calls the last step truncated as well as
    terminated; `gym.make(env.spec, max_episode_steps=-1)` does not.)

    ## Info

    `reset` and `step` give the same keys, of the run as it stands.

    | key | shape | unit | meaning |
    |---|---|---|---|
    | loss | () | nats per token | validation loss of the scenario's mixture of reference tasks |
    | train_loss | () | nats per token | mean training loss of the last interval, after reset of the warm-up |
    | tokens | () | tokens | spent so far |
    | diverged | () | bool | whether the run ended because a loss was not finite |
    | weights | (K,) | 1 | in force in the last interval; after reset those of action 0 |
    | run_seed | () | 1 | what `options={"seeds": ...}` takes to run it again |

    ## Arguments

    corpus: a built corpus's folder (default: the text of the installed packages, built once). setting: model, training
    configuration, agents and clock, a `Setting` or `SurrogateSetting`. reward: "paired" or "raw". distribution: what
    scenarios are drawn from, and which split of them (default: everything varies, the train split). Either may be a
    mapping of some of its fields, as JSON has them, over the defaults. records: a file to which every finished episode
    is appended, controls' too, as a line that `pretraingym replay` can run again. render_mode: "ansi" (weights as bars,
    loss, gain so far and interval as text) or "rgb_array" (the same as a picture, (320, 480, 3) uint8).

    `reset(options=...)` takes `episode` (the number to start at), `scenario` (a `Scenario` in place of a drawn one) and
    `seeds` (a numpy array of run seeds, one a slot: here one). `get_state`, `set_state` and `fork` are exact;
    `copy.deepcopy` forks, and a pickle holds the arguments and the state. A copy records to the same file. A run that
    diverged is over: the next reset without options begins the next episode.

    ## Version history

    v2: an agent has two features more, `lift_error` and `lift_sure`. A third of the scenarios are null scenarios by
    default (`ScenarioDistribution.nulls`); `Surrogate-v2`'s default toy has none. Reference tasks have a part for
    trials, so the text of default corpora differs.
    v1: the observation's key `training` is now `statistics`, since Stable-Baselines3 puts the keys into a
    `torch.nn.ModuleDict`, which refuses names of a module's attributes. `reset` gives the same info as `step`. The
    vector environment begins the next episode in the step after an end (NEXT_STEP), as Gymnasium's wrappers expect;
    before, in the same step. Rewards and features are those of v0.
    v0: the first version.
    """

    metadata: dict[str, Any] = {**METADATA}

    def __init__(
        self,
        *,
        corpus: str | Path | None = None,
        setting: EpisodeSetting | Mapping[str, Any] | None = None,
        reward: str = "paired",
        distribution: ScenarioDistribution | Mapping[str, Any] | None = None,
        render_mode: str | None = None,
        records: str | Path | None = None,
    ) -> None:
        self.set_up(
            corpus,
            setting,
            distribution,
            render_mode,
            records,
            num_envs=1,
            group_size=1,
            reward=reward,
            autoreset_mode=AutoresetMode.DISABLED,
        )
        self.observation_space, self.action_space = spaces(self.runs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.require_open()
        seed = whole_number(seed)
        super().reset(seed=seed)
        reset_runs(self, self.runs, seed, options)
        return self._observation(), self._info()

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self.require_open()
        action = as_actions(action)
        if action.shape != self.action_space.shape:
            raise InputError(f"action has shape {action.shape}, expected {self.action_space.shape}: one an agent")
        transition = self.runs.step(action[None])
        reward, terminated = float(transition.reward_N[0]), bool(transition.terminated_N[0])
        return self._observation(), reward, terminated, False, self._info()

    def render(self) -> Frame:
        self.require_open()
        return frames(self.runs, self.render_mode)[0]

    def close(self) -> None:
        self.closed = True

    def _observation(self) -> dict[str, np.ndarray]:
        return {name: value[0] for name, value in self.runs.observation().as_batch().items()}

    def _info(self) -> dict[str, Any]:
        info = info_of(self.runs, np.ones(1, bool))
        own = {name: value[0] for name, value in info.items() if not name.startswith("_")}
        return own | {"diverged": bool(own["diverged"])}  # of numpy's bools SyncVectorEnv makes arrays of objects
