"""The stacks of proxies and the targets that are looked at, made on a fake GPU."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ....env.settings.setting import Setting
from ....lm.corpus.corpus import Corpus
from ....lm.corpus.windows import PART_BITS, Windows
from ....lm.models.engine_config import EngineConfig
from ....lm.proxies.stack import ProxyStack
from ....lm.target.target import Target
from ...commands.presets import PRESETS
from ...commands.pretrain import PretrainConfig
from ..proxies import SIZES

DOCUMENTS = 4096
LARGE_VOCABULARY = 32_768  # what the presets' names count with
PROXY_VOCABULARY = 512  # of the benchmark of proxies


@dataclass(frozen=True)
class MadeUpCorpus:
    """What windows read of a corpus; every token is 0. Documents are `lengths` tokens long, in turns."""

    vocab_size: int
    lengths: tuple[int, ...]
    num_documents: int = DOCUMENTS

    @property
    def token_offsets(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(np.resize(self.lengths, self.num_documents))])

    @property
    def tokens(self) -> NDArray[np.uint16]:
        return np.zeros(self.token_offsets[-1], np.uint16)


@dataclass(frozen=True)
class Case:
    """A stack of `models` proxies, or a target where `engine` is given, whose windows come in pairs that fill a
    sequence where it packs them."""

    name: str
    setting: Setting
    vocabulary: int
    models: int = 1
    engine: EngineConfig | None = None

    def with_layers(self, layers: int) -> "Case":
        """The same with fewer layers, which hold the same shapes and ask the host for the same."""
        fewer = replace(self.setting, num_layers=min(layers, self.setting.num_layers))
        return replace(self, name=f"{self.name}, {fewer.num_layers} layers", setting=fewer)

    @property
    def packs(self) -> bool:
        return self.engine is not None and self.engine.packing != "none"

    @property
    def windows(self) -> Windows:
        context = self.setting.context
        lengths = (context // 2, context + 1 - context // 2) if self.packs else (context,)
        return Windows(cast(Corpus, MadeUpCorpus(self.vocabulary, lengths)), context)

    def backend(self) -> ProxyStack | Target:
        """The models, of random weights, on the device of the setting."""
        config, train = self.setting.model_config(self.vocabulary), self.setting.train_config
        if self.engine is None:
            return ProxyStack(config, self.windows, train, self.models, self.setting.device)
        return Target(config, self.windows, train, self.engine, self.setting.device)

    def ids(self, *shape: int) -> NDArray[np.int64]:
        """Ids of windows, (models, *shape), one after another along the last axis."""
        documents = np.arange(shape[-1]) % DOCUMENTS << PART_BITS
        return np.broadcast_to(documents, (self.models, *shape)).copy()

    def passes(self, ranks: int = 1) -> int:
        """Forward and backward passes of a step on a rank, if all text fills its sequences."""
        sequences = self.setting.episode.batch_windows
        return -(-sequences // (ranks * self.engine.pass_sequences)) if self.engine else 1

    def windows_of(self, passes: int) -> int:
        """Windows that fill so many passes."""
        if self.engine is None:
            return passes * self.setting.episode.batch_windows
        return passes * self.engine.pass_sequences * (2 if self.packs else 1)

    @property
    def tokens(self) -> int:
        """Tokens of a step of all models."""
        sequences = self.engine.pass_sequences if self.engine else self.setting.episode.batch_windows
        return self.models * self.passes() * sequences * self.setting.context


def stack_case(size: str = "15m", models: int = 16, batch_windows: int | None = None) -> Case:
    """Proxies of one size of the benchmark of proxies."""
    setting = replace(SIZES[size], device="cuda")
    if batch_windows:
        setting = replace(setting, episode=replace(setting.episode, batch_windows=batch_windows))
    return Case(f"{models} x {size}, {setting.episode.batch_windows} windows", setting, PROXY_VOCABULARY, models)


def target_case(preset: str, vocabulary: int | None = None, **engine: Any) -> Case:
    """The target of a preset of pretrain, on one GPU; `engine`: fields that differ from the preset's."""
    config = PRESETS[PretrainConfig][preset]()
    assert isinstance(config, PretrainConfig)
    vocabulary = vocabulary or (LARGE_VOCABULARY if config.target.device == "cuda" else PROXY_VOCABULARY)
    # Compiled layers are torch's to trace, not ours: `graphs` looks at them.
    fields: dict[str, Any] = {"compile": False, "parallel": "ddp", **engine}
    name = f"{preset}, {vocabulary:,} tokens"
    return Case(name, replace(config.target, device="cuda"), vocabulary, engine=replace(config.engine, **fields))


def headline_cases() -> dict[str, Case]:
    """The cases whose steps are timed by arithmetic, whole."""
    return {
        "stack": stack_case(),
        "stack_8k": stack_case(batch_windows=128),  # 8 thousand tokens a model and step
        "target": target_case("350m"),
    }


def other_cases() -> list[Case]:
    """The other sizes and presets, and a vocabulary that is a multiple of nothing, with two layers each."""
    others = [stack_case(size) for size in SIZES if size != "15m"]
    others += [target_case(preset) for preset in PRESETS[PretrainConfig] if preset != "350m"]
    others.append(target_case("350m", 50_257))
    return [case.with_layers(2) for case in others]
