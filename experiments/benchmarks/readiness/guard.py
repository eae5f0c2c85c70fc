"""A CUDA that does nothing, for a torch without CUDA: autograd then runs on fake tensors of device `cuda`.

Autograd asks for a guard of every device it meets, and for hooks that tell how many such devices there are. They are
thirty lines of C++, which g++ builds against the headers that come with torch. They must be loaded before torch is
imported, and the process is then of no other use: import this module, which imports no torch, in a process of its own.
"""

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = r"""
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <ATen/detail/CUDAHooksInterface.h>

namespace c10::impl {
const Device DEVICE(DeviceType::CUDA, 0);
const Stream STREAM(Stream::DEFAULT, DEVICE);

struct IdleGuard : NoOpDeviceGuardImpl<DeviceType::CUDA> {
  DeviceIndex deviceCount() const noexcept override { return 1; }
  Device getDevice() const override { return DEVICE; }
  Device exchangeDevice(Device) const override { return DEVICE; }
  Stream getStream(Device) const noexcept override { return STREAM; }
  Stream getNewStream(Device, int) const override { return STREAM; }
  Stream exchangeStream(Stream) const noexcept override { return STREAM; }
  void record(void**, const Stream&, const DeviceIndex, const EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void*, const DeviceIndex) const noexcept override {}
  bool queryStream(const Stream&) const override { return true; }
  void synchronizeStream(const Stream&) const override {}
};
C10_REGISTER_GUARD_IMPL(CUDA, IdleGuard);
}  // namespace c10::impl

namespace at {
struct IdleHooks : CUDAHooksInterface {
  IdleHooks(CUDAHooksArgs) {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool hasPrimaryContext(DeviceIndex) const override { return false; }
  void init() const override {}
  DeviceIndex current_device() const override { return 0; }
  DeviceIndex deviceCount() const override { return 1; }
  DeviceIndex getCurrentDevice() const override { return 0; }
};
C10_REGISTER_CLASS(CUDAHooksRegistry, CUDAHooks, IdleHooks);
}  // namespace at
"""


def torch_folder() -> Path:
    """Where torch is installed; it is not imported."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def has_cuda() -> bool:
    """Whether torch is built with CUDA."""
    return (torch_folder() / "lib" / "libtorch_cuda.so").exists()


def why_not() -> str | None:
    """Why there can be no fake CUDA tensors here; None: there can be."""
    if has_cuda():
        import torch

        return None if torch.cuda.is_available() else "torch is built with CUDA, and there is no GPU"
    if sys.platform != "linux":
        return f"the guard is built for Linux, and this is {sys.platform}"
    return None if shutil.which("g++") else "torch has no CUDA, and there is no g++ to build a guard in its place"


def build_guard(folder: Path) -> Path | None:
    """Build the guard in `folder` -> its library; None: torch has a CUDA of its own. Takes seconds."""
    if has_cuda():
        return None
    torch, source, library = torch_folder(), folder / "guard.cpp", folder / "libguard.so"
    source.write_text(SOURCE)
    flags = ["-std=c++20", "-O0", "-shared", "-fPIC", f"-I{torch}/include", f"-L{torch}/lib", "-ltorch_cpu", "-lc10"]
    subprocess.run(["g++", str(source), "-o", str(library), *flags], check=True)
    return library


def load_guard(library: Path | None) -> None:
    """Load what `build_guard` gave, before torch is imported."""
    if library is None:
        return
    assert "torch" not in sys.modules, "torch has looked for CUDA already: load the guard in a process of its own"
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch_folder() / "lib" / name), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
