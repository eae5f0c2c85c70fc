"""Learned policies as ONNX, to run a policy without torch. Needs the extra `onnx`."""

import importlib.util
import json
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ..env.observation.features import AGENT_FEATURES, TRAINING_FEATURES
from ..lm.io.errors import InputError
from ..lm.io.files import write_atomic
from .actors.actor import as_weights
from .actors.schedule_actor import ScheduleActor
from .saved.learned import LearnedPolicy

RUNS, AGENTS = 2, 5  # that the graph is traced with: other numbers serve too, but a size of 1 would be fixed


class Weights(nn.Module):
    """A policy's actor and action map in one: what `ObservationTensors` holds to weights (N, K) on the simplex. It is
    float32, where the policy's own map is float64."""

    def __init__(self, policy: LearnedPolicy) -> None:
        super().__init__()
        self.actor = policy.actor

    def forward(self, agents: Tensor, mask: Tensor, statistics: Tensor) -> Tensor:
        return as_weights(self.actor(agents, mask, statistics), mask, self.actor.action_map)


def export_onnx(policy: LearnedPolicy, path: Path) -> None:
    """Write `Weights` of the policy with free axes of runs and agents. The file's metadata name the features in their
    order, and whether the first weights are to be kept (`decides_once`). InputError: the extra is not installed, or the
    policy goes by agents' names, which ONNX does not see."""
    if isinstance(policy.actor, ScheduleActor):
        raise InputError(f"policy '{policy.name}' goes by the names of agents, which ONNX does not see; export another")
    if missing := [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]:
        raise InputError(f"ONNX export needs {' and '.join(missing)}: pip install 'pretraingym[onnx]'")
    import onnx

    example = (
        torch.zeros(RUNS, AGENTS, len(AGENT_FEATURES)),
        torch.ones(RUNS, AGENTS, dtype=torch.bool),
        torch.zeros(RUNS, len(TRAINING_FEATURES)),
    )
    free = torch.export.Dim.DYNAMIC
    axes = {0: free, 1: free}, {0: free, 1: free}, {0: free}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own deprecations, and of axes that share a name
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
        # exported here, as ONNX's own exporter silently goes on with fixed axes where an operation wants them
        graph = torch.export.export(Weights(policy).eval(), example, dynamic_shapes=axes)
        program = torch.onnx.export(
            graph, input_names=["agents", "mask", "statistics"], output_names=["weights"], dynamo=True, verbose=False
        )
    assert program is not None
    model = program.model_proto
    about = {
        "agent_features": json.dumps([feature.name for feature in AGENT_FEATURES]),
        "training_features": json.dumps([feature.name for feature in TRAINING_FEATURES]),
        "decides_once": json.dumps(policy.actor.decides_once),
    }
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model)
    write_atomic(path, model.SerializeToString())
