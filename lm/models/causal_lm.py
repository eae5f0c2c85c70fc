"""The models that are trained and their configurations: small Llamas by their sizes, any other from its folder."""

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    PretrainedConfig,
)

from ..io.errors import InputError, in_one_line
from .engine_config import EngineConfig

# Fields of a configuration that name special tokens. Of these, forced ones are for generation alone.
SPECIAL = tuple(
    f"{name}_token_id" for name in ("bos", "eos", "pad", "sep", "cls", "decoder_start", "forced_bos", "forced_eos")
)


def llama(vocab_size: int, width: int, num_layers: int, context: int, end_of_text: int | None = None) -> LlamaConfig:
    """A Llama of `width`, one head for every 64 of it, feed-forward 8/3 of it rounded up to 64, since tensor cores are
    slow where a row is no multiple of 16 bytes; untied embeddings. `end_of_text`: the token that ends documents.

    (At width 48, one head trains 7% faster than three and ends .017 nats lower.)"""
    num_heads = max(1, width // 64)
    if width % (2 * num_heads):
        raise InputError(f"width {width} cannot be split into {num_heads} heads of even size; give a multiple of 64")
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=num_layers,
        num_attention_heads=num_heads,
        num_key_value_heads=num_heads,
        intermediate_size=-(-width * 8 // 3 // 64) * 64,
        max_position_embeddings=context,
        tie_word_embeddings=False,
        bos_token_id=end_of_text,
        eos_token_id=end_of_text,
        pad_token_id=end_of_text,
    )


def config_in(
    folder: Path, vocab_size: int, context: int, end_of_text: int | None = None, keep_vocabulary: bool = False
) -> PretrainedConfig:
    """The transformers config in `folder`, with `vocab_size` as its vocabulary and `end_of_text` as its special tokens,
    or with its own where those are kept. InputError: none there, none of a causal LM, one with code of its own, too
    short a context, or a vocabulary of its own that is too small."""
    config = _read_config(folder)
    text = config.get_text_config(decoder=True)
    longest = getattr(text, "max_position_embeddings", None) or context
    if 0 < longest < context:  # XLNet's -1: any length
        raise InputError(f"the model in {folder} reads {longest} tokens, fewer than the windows' {context}")
    if keep_vocabulary:
        if text.vocab_size < vocab_size:
            raise InputError(f"the model in {folder} knows {text.vocab_size} tokens, its tokenizer has {vocab_size}")
        return config
    for part in {id(part): part for part in (config, text)}.values():
        if part is text or hasattr(part, "vocab_size"):
            part.vocab_size = vocab_size
        for name in SPECIAL:
            if getattr(part, name, None) is not None or (end_of_text is not None and name in SPECIAL[:3]):
                _set_special_id(part, name, end_of_text)
    return config


def _read_config(folder: Path) -> PretrainedConfig:
    file = folder / "config.json"
    if not file.is_file():
        raise InputError(f"no config.json in {folder}; give the folder of a transformers causal LM")
    try:
        # Read here first: transformers takes its own class where it has one of that name, and leaves the code out.
        if "auto_map" in json.loads(file.read_bytes()):
            raise InputError(f"{file} names code of its own (auto_map), which is not run; take a model of transformers")
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        text = config.get_text_config(decoder=True)
        assert isinstance(text.vocab_size, int)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the classes of configurations raise
        raise InputError(f"{folder} holds no config that transformers knows ({in_one_line(error)})") from None
    kind, causal = config.model_type, MODEL_FOR_CAUSAL_LM_MAPPING
    if type(config) not in causal:
        raise InputError(f"the model in {folder} is of kind {kind}, of which transformers has no causal LM")
    model: Any = causal[type(config)]
    if model.config_class not in causal:
        raise InputError(
            f"the model in {folder} is of kind {kind}, whose text model cannot be read alone; take another"
        )
    return config


def _set_special_id(config: PretrainedConfig, name: str, end_of_text: int | None) -> None:
    """End-of-text stands for every special token. Where the tokenizer has none, there are none, but for padding, which
    some models cannot do without (RoBERTa), and configurations that want a number (ModernBERT): a known token then."""
    own = getattr(config, name, None)
    fitting = own if isinstance(own, int) and own < config.get_text_config(decoder=True).vocab_size else 0
    if end_of_text is None and name == "pad_token_id":
        end_of_text = fitting
    try:
        setattr(config, name, None if name.startswith("forced") else end_of_text)
    except StrictDataclassError:
        setattr(config, name, fitting)


def new_model(config: PretrainedConfig, seed: int) -> Any:
    """A freshly initialised transformers model in float32; the global generator is left as it was. InputError: there
    is no model of these sizes."""
    with torch.random.fork_rng(devices=[]), _naming(config):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def num_parameters(config: PretrainedConfig) -> int:
    """Parameters of a model of this config, tied ones counted once; no memory is allocated for them. InputError: there
    is no model of these sizes."""
    with torch.device("meta"), _naming(config):
        model = AutoModelForCausalLM.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


@contextmanager
def _naming(config: PretrainedConfig) -> Iterator[None]:
    """Whatever the classes of models raise inside becomes an InputError that names the kind of model."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, InputError):
        raise
    except Exception as error:  # noqa: BLE001
        raise InputError(
            f"transformers can make no {config.model_type} model of its config.json: {in_one_line(error)}"
        ) from None


class IdentityHead(nn.Identity):
    """Stands where the head was, so that hidden states come out as logits. Some models (Mamba) ask for the type of the
    head's weight."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__()
        self.weight = head.weight.detach().new_empty(0)


@contextmanager
def in_place_of_head(head: nn.Linear, forward: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Inside, a model applies `forward` to its hidden states in place of its head."""
    vars(head)["forward"] = forward
    try:
        yield
    finally:
        del vars(head)["forward"]


def ends_in_head(model: Any, logits_of: Callable[[Tensor], Tensor] | None = None) -> bool:
    """Whether the logits of a causal LM are just the product of hidden states and a head without bias, perhaps times a
    number, so that `head_loss` can compute the losses; some models cap or shift them. `logits_of`: its logits of token
    ids (1, L), of a model that is not called as those of transformers are.

    In place of what the head gives stand numbers of all sizes: an untrained model's own are too small to show a cap."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if type(head) is not nn.Linear or head.bias is not None or "forward" in vars(head):
        return False
    forward = logits_of or (lambda ids: model(input_ids=ids, use_cache=False).logits)
    ids = torch.arange(4, device=head.weight.device)[None]
    shares = []
    for size in (head.out_features, head.in_features):  # as logits, and as the hidden states that are to come out
        wide = torch.logspace(-3, 4, 4 * size, device=ids.device).view(1, 4, size)
        wide[..., ::2] *= -1
        try:
            with torch.no_grad(), in_place_of_head(head, wide.to):
                found = forward(ids)
        except (AttributeError, RuntimeError, TypeError, ValueError):  # it uses its head in a way of its own
            return False
        if found.shape != wide.shape:
            return False
        shares.append((found / wide).flatten())
    share = torch.cat(shares)
    return torch.allclose(share, share[0].expand_as(share), rtol=1e-5, atol=0)


def ready_model(config: PretrainedConfig, seed: int, origin: Path | None, engine: EngineConfig) -> Any:
    """A model of `config` to be trained as `engine` says, in float32, without dropout: fresh from `seed`, or with the
    weights in the folder `origin`. Where the model has no attention sdpa, it gets eager. InputError: weights that
    cannot be read or of another shape."""
    config = without_dropout(config)
    if engine.attention == "eager":
        config._attn_implementation = engine.attention  # else transformers takes sdpa where a model has it
    model = new_model(config, seed) if origin is None else _weights_in(origin, config)
    if model.config._attn_implementation != engine.attention:
        warnings.warn(
            f"{type(model).__name__} has no attention {engine.attention}; it gets eager, which computes the same, but "
            "takes more memory and time. Ask for eager attention if that is right for you, else for another model",
            stacklevel=2,
        )
    return model.train()


def without_dropout(config: PretrainedConfig) -> PretrainedConfig:
    """A copy without any dropout: a run must depend only on its seed, and sees little text twice."""
    config = deepcopy(config)
    for part in (config, *(value for value in vars(config).values() if isinstance(value, PretrainedConfig))):
        for name, value in vars(part).items():
            if "drop" in name and isinstance(value, float):
                setattr(part, name, 0.0)
    return config


def _weights_in(origin: Path, config: PretrainedConfig) -> Any:
    _check_weight_files(origin)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            origin,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever safetensors and the classes of models raise
        raise InputError(f"the weights in {origin} cannot be used: {in_one_line(error)}") from None
    model, about = loaded
    if missing := sorted(about["missing_keys"]):
        raise InputError(f"{origin} has no weights of {missing[0]} ({len(missing)} missing), expected all of them")
    for name, there, here in sorted(about["mismatched_keys"]):
        raise InputError(f"{name} in {origin} is {tuple(there)}, but {tuple(here)} by its config.json; take its own")
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise InputError(f"the weights of {name} in {origin} are not all finite numbers; take another checkpoint")
    return model


def _check_weight_files(origin: Path) -> None:
    """InputError: no safetensors, which alone are read, or one of several files of them is missing."""
    index = origin / "model.safetensors.index.json"
    if (origin / "model.safetensors").is_file():
        return
    if not index.is_file():
        other = next(iter(sorted(origin.glob("*.bin"))), None)
        only = f", only {other.name}, which would have to be unpickled" if other else ""
        raise InputError(f"no model.safetensors in {origin}{only}: save the model with transformers' save_pretrained")
    try:
        files = set(json.loads(index.read_bytes())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{index} is damaged ({in_one_line(error)}); copy it again") from None
    if missing := sorted(name for name in files if not (origin / str(name)).is_file()):
        raise InputError(f"{origin / str(missing[0])} is missing ({len(missing)} of {len(files)} files); copy it again")
