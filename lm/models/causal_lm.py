"""The models that are trained and their configurations: small Llamas by their sizes, any other from its folder."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PretrainedConfig

from ..io.errors import InputError
from .engine_config import EngineConfig


def llama(vocab_size: int, width: int, num_layers: int, context: int) -> LlamaConfig:
    """A Llama of `width`, one head for every 64 of it, feed-forward 8/3 of it rounded up to 4, untied embeddings.

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
        intermediate_size=-(-width * 8 // 3 // 4) * 4,
        max_position_embeddings=context,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )


def config_in(folder: Path, vocab_size: int, context: int, keep_vocabulary: bool = False) -> PretrainedConfig:
    """The transformers config in `folder`, with `vocab_size` as its vocabulary, or with its own where that is kept.
    InputError: none there, too short a context, or a vocabulary of its own that is too small."""
    if not (folder / "config.json").is_file():
        raise InputError(f"no config.json in {folder}; give the folder of a transformers causal LM")
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{folder} holds no config that transformers knows ({str(error).splitlines()[0]})") from None
    longest = getattr(config, "max_position_embeddings", context)
    if longest < context:
        raise InputError(f"the model in {folder} reads {longest} tokens, fewer than the windows' {context}")
    if keep_vocabulary:
        if config.vocab_size < vocab_size:
            raise InputError(f"the model in {folder} knows {config.vocab_size} tokens, its tokenizer has {vocab_size}")
        return config
    config.vocab_size = vocab_size
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    return config


def new_model(config: PretrainedConfig, seed: int) -> Any:
    """A freshly initialised transformers model in float32; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def num_parameters(config: PretrainedConfig) -> int:
    """Parameters of a model of this config, tied ones counted once; no memory is allocated for them."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def ends_in_head(model: Any) -> bool:
    """Whether the logits of a transformers model are just the product of hidden states and a head without bias, so that
    `head_loss` can compute the losses; some models scale, cap or shift them."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None:
        return False
    ids = torch.arange(4, device=head.weight.device)[None]
    with torch.no_grad():
        logits = model(input_ids=ids, use_cache=False).logits
        model.set_output_embeddings(nn.Identity())
        hidden = model(input_ids=ids, use_cache=False).logits
        model.set_output_embeddings(head)
        return torch.allclose(head(hidden), logits, rtol=1e-4, atol=1e-6)


def ready_model(config: PretrainedConfig, seed: int, origin: Path | None, engine: EngineConfig) -> Any:
    """A model of `config` to be trained as `engine` says, in float32, without dropout: fresh from `seed`, or with the
    weights in the folder `origin`. InputError: weights of another shape, or kernels that are not installed."""
    config = deepcopy(config)
    for name, value in vars(config).items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)  # a run must depend only on its seed, and sees little text twice
    config._attn_implementation = engine.attention
    model = new_model(config, seed) if origin is None else _weights_in(origin, config)
    if engine.liger:
        _use_liger(model)
    return model.train()


def _weights_in(origin: Path, config: PretrainedConfig) -> Any:
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            origin,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(f"the weights in {origin} cannot be used: {str(error).splitlines()[0]}") from None
    model, about = loaded
    if missing := sorted(about["missing_keys"]):
        raise InputError(f"{origin} has no weights of {missing[0]} ({len(missing)} missing), expected all of them")
    return model


def _use_liger(model: Any) -> None:
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
    except ImportError:
        raise InputError("engine.liger needs the Liger kernels: pip install 'pretraingym[liger]'") from None
    # Not Liger's loss: `head_loss` needs no logits either, and weights every token.
    _apply_liger_kernel_to_instance(model, cross_entropy=False, fused_linear_cross_entropy=False)
