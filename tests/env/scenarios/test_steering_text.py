"""Which documents of the reference text steer a run."""

import numpy as np
import pytest

from pretraingym.env.scenarios.steering_text import SteeringText
from pretraingym.env.scenarios.task import Task
from pretraingym.lm.corpus.corpus import Corpus

NUMBER_N = np.array([0, 3, 3, 3, 500])
KEY_N = np.array([1, 7, 7, 8, 7], np.uint64)


@pytest.fixture(scope="module")
def task(tiny_corpus: Corpus) -> Task:
    return Task(tiny_corpus, 32)


def test_as_many_steer_as_the_scenario_says(task: Task) -> None:
    mask_ND = SteeringText(NUMBER_N, KEY_N).mask(task.reference_documents)
    sizes = task.reference_documents
    assert mask_ND.shape == (5, sum(sizes))
    assert mask_ND[[0, 4]].all(), "all, and no more than there are"
    for part in np.split(mask_ND[1], np.cumsum(sizes)[:-1]):
        assert part.sum() == 3
    assert (mask_ND[1] == mask_ND[2]).all(), "of one key are the same"
    assert (mask_ND[1] != mask_ND[3]).any()


def test_windows_are_of_these_documents_alone(task: Task) -> None:
    steering = SteeringText(NUMBER_N, KEY_N)
    weights_NT = np.tile([0.5, 0.5], (5, 1))
    key_N = np.arange(5, dtype=np.uint64)
    ids = task.sample_groups(weights_NT, 64, key_N, steering).ids.reshape(5, -1)
    seen = [set(task.windows.document(of_run).tolist()) for of_run in ids]
    allowed = [
        {
            task.corpus.splits[f"{name}/validation"][at]
            for index, name in enumerate(task.reference_tasks)
            for at in steering.documents(run, index, task.reference_documents[index])
        }
        for run in range(5)
    ]
    assert seen[1] == allowed[1]
    assert seen[3] == allowed[3]
    assert len(seen[0]) > 6
    assert seen[0] <= allowed[0]
    everything = task.sample_groups(weights_NT, 64, key_N).ids.reshape(5, -1)
    assert (ids[[0, 4]] == everything[[0, 4]]).all()
