"""How long kernels would take on an H100: arithmetic from what they compute and move, with named assumptions."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from .trace import Kernel


@dataclass(frozen=True)
class Gpu:
    """A GPU and how near programs come to its limits."""

    name: str = "H100 SXM"
    half_flops_per_s: float = 989e12
    """peak of bfloat16, dense"""
    single_flops_per_s: float = 494e12
    """peak of float32 products as TF32"""
    bytes_per_s: float = 3.35e12
    """peak of its memory"""
    of_products: float = 0.7
    """share of the peak that large aligned products reach (assumed)"""
    of_attention: float = 0.35
    """share of the peak that flash attention reaches; with a mask a third of that (assumed)"""
    of_unaligned: float = 0.6
    """speed of products whose rows are not of 16 bytes, over that of aligned ones (assumed)"""
    of_memory: float = 0.85
    """share of the peak that simple kernels reach (assumed)"""
    launch_s: float = 6e-6
    """host time of a kernel that Python asks for (assumed; 5 to 12 us where it was measured)"""
    gap_s: float = 1.5e-6
    """time between two kernels of a captured CUDA graph (assumed)"""

    def seconds(self, kernel: Kernel) -> float:
        """Time of one kernel on the GPU."""
        moving = kernel.bytes / (self.of_memory * self.bytes_per_s)
        if not kernel.flops:
            return moving
        half = kernel.dtype in (torch.bfloat16, torch.float16)
        share = self.of_products
        if kernel.is_attention:
            share = self.of_attention / (3 if kernel.masked else 1)
        elif half and not kernel.is_aligned:
            share *= self.of_unaligned
        return max(kernel.flops / (share * (self.half_flops_per_s if half else self.single_flops_per_s)), moving)

    def assumptions(self) -> str:
        peaks = f"{self.half_flops_per_s / 1e12:.0f} TFLOP/s in bfloat16, {self.single_flops_per_s / 1e12:.0f} in TF32"
        return (
            f"{self.name}: {peaks}, {self.bytes_per_s / 1e12:.2f} TB/s. Assumed: products reach {self.of_products:.0%} "
            f"of the peak, unaligned ones {self.of_unaligned:.0%} of that, attention {self.of_attention:.0%} (with a "
            f"mask a third of that), memory {self.of_memory:.0%}; a kernel takes {self.launch_s * 1e6:.0f} us of the "
            f"host, in a captured graph {self.gap_s * 1e6:.1f} us"
        )


@dataclass(frozen=True)
class Estimate:
    """Seconds of a step: what the host needs to ask for its kernels, what the GPU needs for them, and what it would
    need if everything between two products were one kernel and the step a captured graph. They can be added, and
    multiplied."""

    host_s: float
    busy_s: float
    fused_s: float

    @property
    def step_s(self) -> float:
        """As it runs uncompiled: the host runs ahead of the GPU, and the slower of the two counts."""
        return max(self.host_s, self.busy_s)

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(self.host_s + other.host_s, self.busy_s + other.busy_s, self.fused_s + other.fused_s)

    def __mul__(self, times: float) -> "Estimate":
        return Estimate(self.host_s * times, self.busy_s * times, self.fused_s * times)


def estimate(kernels: Iterable[Kernel], gpu: Gpu) -> Estimate:
    """The time of kernels that follow each other."""
    kernels = list(kernels)
    busy = sum(gpu.seconds(kernel) for kernel in kernels)
    count, moved = fused_traffic(kernels)
    products = sum(gpu.seconds(kernel) for kernel in kernels if kernel.flops)
    fused = products + moved / (gpu.of_memory * gpu.bytes_per_s) + count * gpu.gap_s
    return Estimate(len(kernels) * gpu.launch_s, busy, fused)


def fused_traffic(kernels: Iterable[Kernel]) -> tuple[int, int]:
    """(kernels, bytes moved by those that are no products) if all between two products were one kernel, which reads
    once what was made before it, and writes only what is read after it or was there before."""
    products = moved = run = 0
    made_in: dict[int, int] = {}  # storage -> the run of kernels that made it, -1 once it is written
    runs: set[int] = set()
    fetched: set[int] = set()  # what the run has read
    for kernel in kernels:
        for storage, size in kernel.reads.items():
            if made_in.get(storage, -1) >= 0 and (kernel.flops or made_in[storage] != run):
                made_in[storage] = -1
                moved += size  # written after all
            if not kernel.flops and made_in.get(storage, -1) != run and storage not in fetched:
                fetched.add(storage)
                moved += size
        if kernel.flops:  # its own bytes count with it
            products, run, fetched = products + 1, run + 1, set()
            made_in |= dict.fromkeys(kernel.writes, -1)
            continue
        runs.add(run)
        for storage, size in kernel.writes.items():
            if storage in fetched:
                moved += size  # changed in place
            elif storage not in made_in:
                made_in[storage] = run
    return products + len(runs), moved
