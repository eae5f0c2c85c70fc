"""The toy behind the surrogate's ids: its agents, corpus and scenarios, and that a setting of one's own replaces it."""

import gymnasium as gym
import pytest

import pretraingym.env  # noqa: F401 (registers the environments)
from pretraingym.env.settings import default_corpus
from pretraingym.env.settings.setting_json import setting_as_json, setting_from_json
from pretraingym.env.settings.surrogate_setting import SurrogateSetting
from pretraingym.env.settings.toy_setting import TOY_SCENARIOS, ToySetting
from pretraingym.lm.corpus import manifest
from pretraingym.lm.corpus.corpus import Corpus
from pretraingym.lm.ingest.synthetic import DOMAINS

ID = "PretrainGym/Surrogate-v2"


@pytest.fixture
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.usefixtures("_own_cache")
def test_the_toy_has_a_task_and_an_agent_for_each_domain() -> None:
    for env in (gym.make(ID).unwrapped, gym.make_vec(ID, num_envs=2).unwrapped):
        runs = env.runs  # type: ignore[attr-defined]
        assert runs.task.reference_tasks == DOMAINS
        assert set(runs.task.agent_names) == {"null", "quality", *(f"match-{domain}" for domain in DOMAINS)}
        assert runs.distribution == TOY_SCENARIOS
        assert runs.setting == ToySetting()


@pytest.mark.usefixtures("_own_cache")
@pytest.mark.parametrize("kind", [ToySetting, SurrogateSetting])
def test_a_corpus_of_another_version_is_left_alone(
    kind: type[SurrogateSetting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade: the cache then has a corpus that this version cannot read."""
    earlier = manifest.SCHEMA - 1
    with monkeypatch.context() as patch:
        for module in (manifest, default_corpus):
            patch.setattr(module, "SCHEMA", earlier)
        old = kind().open_task().corpus
    new = kind().open_task().corpus
    assert old.path.parent == new.path.parent
    assert old.path != new.path
    assert kind().open_task().corpus.path == new.path
    monkeypatch.setattr(default_corpus, "RECIPE", 99)
    assert kind().open_task().corpus.path not in (old.path, new.path)


def test_no_agent_of_the_toy_moves(tiny_corpus: Corpus) -> None:
    task = ToySetting().task(tiny_corpus)
    assert task.agent_names == ("null", "match-code", "match-prose", "quality")
    assert not any(agent.moves for agent in task.prototypes)
    assert ToySetting(agents=("null", "domain")).task(tiny_corpus).agent_names == ("null", "domain")


def test_a_setting_takes_the_place_of_the_toy(tiny_corpus: Corpus) -> None:
    env = gym.make(ID, corpus=tiny_corpus.path, setting=SurrogateSetting()).unwrapped
    assert env.agent_names == SurrogateSetting().task(tiny_corpus).agent_names  # type: ignore[attr-defined]
    assert "influence" in env.agent_names  # type: ignore[attr-defined]


def test_the_toy_goes_through_json() -> None:
    setting = ToySetting(turn=0.5)
    read = setting_from_json(setting_as_json(setting), "setting")
    assert (type(read), read) == (ToySetting, setting)
    assert read != SurrogateSetting(turn=0.5)
