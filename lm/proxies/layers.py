"""N copies of one transformers model as one model: every module with parameters holds N sets of them.

The batch of the stacked model is N groups of sequences, group n belonging to copy n. Attention, rotary embeddings,
activations and everything else without parameters treat each sequence alone, so they run unchanged; only the modules
with parameters must know which sequences belong to which copy. A module of any other kind than linear and embedding
goes through torch.func.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..io.errors import InputError


class StackedLinear(nn.Module):
    """N linear layers as one batched matrix product. weight: (N, outputs, inputs); bias: (N, outputs)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        grouped = x.reshape(len(self.weight), -1, x.shape[-1])
        if self.bias is None:
            out = torch.bmm(grouped, self.weight.mT)
        else:
            out = torch.baddbmm(self.bias[:, None], grouped, self.weight.mT)
        return out.view(*x.shape[:-1], -1)


class StackedEmbedding(nn.Module):
    """N embeddings as one: the ids of copy n look up in table n. weight: (N, vocabulary, width)."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, ids: Tensor) -> Tensor:
        num_copies, vocabulary, _ = self.weight.shape
        offset = torch.arange(num_copies, device=ids.device) * vocabulary
        shifted = ids.reshape(num_copies, -1) + offset[:, None]
        return F.embedding(shifted.view(ids.shape), self.weight.flatten(0, 1))


class StackedModule(nn.Module):
    """Any other module (norms and the like): its own forward on N parameter sets, each (N, *shape). A module that uses
    them elementwise gets them broadcast over each copy's part of the batch; any other runs under torch.func.vmap, which
    costs a small model a third of a millisecond a module and step."""

    def __init__(self, module: nn.Module, parameters: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.num_copies = len(next(iter(parameters.values())))
        self.params = nn.ParameterDict(parameters)
        self._module = [module]  # in a list, so that its own single parameters do not register
        self._broadcasts = _broadcasts(module, {name: parameter.shape[1:] for name, parameter in parameters.items()})

    def forward(self, x: Tensor) -> Tensor:
        self._module[0].to(x.device)
        if self._broadcasts:
            parameters = {name: parameter[:, None] for name, parameter in self.params.items()}
            grouped = x.reshape(self.num_copies, -1, x.shape[-1])
            return torch.func.functional_call(self._module[0], parameters, (grouped,)).view(x.shape)
        grouped = x.view(self.num_copies, -1, *x.shape[1:])
        return _vmapped(self._module[0], dict(self.params.items()), grouped).flatten(0, 1)


def _vmapped(module: nn.Module, parameters: dict[str, Tensor], grouped: Tensor) -> Tensor:
    def of_one_copy(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(module, parameters, (x,))

    return torch.vmap(of_one_copy)(parameters, grouped)


def _broadcasts(module: nn.Module, shapes: dict[str, torch.Size]) -> bool:
    """Whether `module` gives the same bits with its vectors broadcast: tried on random numbers."""
    if any(len(shape) != 1 for shape in shapes.values()):
        return False
    generator, device = torch.Generator().manual_seed(0), next(module.parameters()).device
    parameters = {name: torch.randn(2, *shape, generator=generator).to(device) for name, shape in shapes.items()}
    x = torch.randn(2, 5, next(iter(shapes.values()))[0], generator=generator).to(device)
    broadcast = {name: value[:, None] for name, value in parameters.items()}
    try:
        with torch.no_grad():
            together = torch.func.functional_call(module, broadcast, (x,))
    except RuntimeError:  # layer_norm, for one, takes only one vector
        return False
    return torch.equal(together, _vmapped(module, parameters, x))


def stack_modules(model: nn.Module, num_copies: int) -> dict[str, nn.Parameter]:
    """Replace the modules of `model` that own parameters, in place, by stacked ones of `num_copies`.

    Returns name in the original model -> stacked parameter (num_copies, *shape), tied parameters once, under the
    first name. Values are uninitialised. InputError for a module that owns both parameters and submodules.
    """
    stacked: dict[int, nn.Parameter] = {}
    names: dict[str, nn.Parameter] = {}

    def stack(path: str, parameter: nn.Parameter) -> nn.Parameter:
        if id(parameter) not in stacked:
            empty = torch.empty(num_copies, *parameter.shape, dtype=torch.float32, device=parameter.device)
            stacked[id(parameter)] = names[path] = nn.Parameter(empty)
        return stacked[id(parameter)]

    def visit(module: nn.Module, prefix: str) -> None:
        for name, child in list(module.named_children()):
            own = {key: value for key, value in child._parameters.items() if value is not None}
            path = f"{prefix}{name}."
            if not own:
                visit(child, path)
                continue
            if next(child.children(), None) is not None:
                raise InputError(
                    f"cannot stack {type(child).__name__} at {path[:-1]}: it has both parameters and submodules; "
                    "use a model whose parameters are in modules without submodules (Llama, GPT-2, Qwen, ...)"
                )
            parameters = {key: stack(path + key, value) for key, value in own.items()}
            setattr(module, name, _stacked(child, parameters))

    visit(model, "")
    return names


def _stacked(module: nn.Module, parameters: dict[str, nn.Parameter]) -> nn.Module:
    if type(module) is nn.Linear:
        return StackedLinear(parameters["weight"], parameters.get("bias"))
    if type(module) is nn.Embedding:
        return StackedEmbedding(parameters["weight"])
    return StackedModule(module, parameters)
