"""N copies of one transformers model as one model: every parametrised leaf holds N sets of parameters.

The batch of the stacked model is N groups of B rows, group n belonging to copy n. Attention, rotary embeddings,
activations and everything else without parameters treat rows alone, so they run unchanged; only the leaves with
parameters must know which rows are whose. A leaf of any other kind than the two written out goes through torch.func.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..io.errors import InputError


class StackedLinear(nn.Module):
    """weight_NOI (and bias_N1O): one batched matrix product for N linear layers."""

    def __init__(self, weight_NOI: nn.Parameter, bias_NO: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight_NOI, bias_NO

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(len(self.weight), -1, x.shape[-1])
        if self.bias is None:
            out = torch.bmm(rows, self.weight.mT)
        else:
            out = torch.baddbmm(self.bias[:, None], rows, self.weight.mT)
        return out.view(*x.shape[:-1], -1)


class StackedEmbedding(nn.Module):
    """weight_NVD: row r of the batch looks up in table r // B."""

    def __init__(self, weight_NVD: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight_NVD

    def forward(self, ids: Tensor) -> Tensor:
        num_copies, vocab, _ = self.weight.shape
        offset = torch.arange(num_copies, device=ids.device) * vocab
        shifted = ids.reshape(num_copies, -1) + offset[:, None]
        return F.embedding(shifted.view(ids.shape), self.weight.flatten(0, 1))


class StackedLeaf(nn.Module):
    """Any other leaf (norms and the like): the leaf's own forward on its N parameter sets. Where all it does with them
    is elementwise they are broadcast over the rows of their copy, else it runs under torch.func.vmap, which costs a
    small model a third of a millisecond a leaf and step."""

    def __init__(self, leaf: nn.Module, parameters: dict[str, nn.Parameter]) -> None:
        super().__init__()
        self.num_copies = len(next(iter(parameters.values())))
        self.params = nn.ParameterDict(parameters)
        self._leaf = [leaf]  # in a list, so that its own single parameters do not register
        self._broadcasts = _broadcasts(leaf, {name: parameter.shape[1:] for name, parameter in parameters.items()})

    def forward(self, x: Tensor) -> Tensor:
        self._leaf[0].to(x.device)
        if self._broadcasts:
            wide = {name: parameter[:, None] for name, parameter in self.params.items()}
            rows = x.reshape(self.num_copies, -1, x.shape[-1])
            return torch.func.functional_call(self._leaf[0], wide, (rows,)).view(x.shape)
        grouped = x.view(self.num_copies, -1, *x.shape[1:])
        return _vmapped(self._leaf[0], dict(self.params.items()), grouped).flatten(0, 1)


def _vmapped(leaf: nn.Module, parameters: dict[str, Tensor], grouped: Tensor) -> Tensor:
    def one(parameters: dict[str, Tensor], rows: Tensor) -> Tensor:
        return torch.func.functional_call(leaf, parameters, (rows,))

    return torch.vmap(one)(parameters, grouped)


def _broadcasts(leaf: nn.Module, shapes: dict[str, torch.Size]) -> bool:
    """Whether `leaf` gives the same bits with its vectors broadcast: tried on random numbers."""
    if any(len(shape) != 1 for shape in shapes.values()):
        return False
    generator, device = torch.Generator().manual_seed(0), next(leaf.parameters()).device
    parameters = {name: torch.randn(2, *shape, generator=generator).to(device) for name, shape in shapes.items()}
    x = torch.randn(2, 5, next(iter(shapes.values()))[0], generator=generator).to(device)
    wide = {name: value[:, None] for name, value in parameters.items()}
    try:
        with torch.no_grad():
            together = torch.func.functional_call(leaf, wide, (x,))
    except RuntimeError:  # as of layer_norm, which wants one vector
        return False
    return torch.equal(together, _vmapped(leaf, parameters, x))


def stack_leaves(model: nn.Module, num_copies: int) -> dict[str, nn.Parameter]:
    """Replace the parametrised leaves of `model` in place by stacked ones of `num_copies`.

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
                    "use a model whose parameters live in leaf modules (Llama, GPT-2, Qwen, ...)"
                )
            parameters = {key: stack(path + key, value) for key, value in own.items()}
            setattr(module, name, _stacked(child, parameters))

    visit(model, "")
    return names


def _stacked(leaf: nn.Module, parameters: dict[str, nn.Parameter]) -> nn.Module:
    if type(leaf) is nn.Linear:
        return StackedLinear(parameters["weight"], parameters.get("bias"))
    if type(leaf) is nn.Embedding:
        return StackedEmbedding(parameters["weight"])
    return StackedLeaf(leaf, parameters)
