"""Devices that are not known, or not here, are refused in one line."""

import pytest
import torch

from pretraingym.env.settings.setting import Setting
from pretraingym.lm.device import KINDS, check_device_name, usable_device
from pretraingym.lm.io.errors import InputError
from pretraingym.lm.target.ranks import Ranks


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "CUDA", "meta", "cuda 1", "cuda\n"])
def test_what_names_no_device_is_refused_in_a_setting(name: str) -> None:
    with pytest.raises(InputError, match="expected one of cpu, cuda, mps, xpu, perhaps with its number, as in cuda:1$"):
        Setting(device=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_is_made_where_its_device_is_not(kind: str) -> None:
    for name in (kind, f"{kind}:1"):
        check_device_name(name)
        assert Setting(device=name).products is (torch.float32 if kind == "cpu" else torch.bfloat16)


@pytest.mark.parametrize("name", ["cuda:99", "xpu:99", "mps:99", "gpu"])
def test_a_device_that_is_not_here_is_refused_in_one_line(name: str) -> None:
    for use in (usable_device, Ranks):
        with pytest.raises(InputError, match=rf"^device is '{name}', which torch cannot use \([^\n]*, expected cpu.*$"):
            use(name)


def test_the_cpu_is_here() -> None:
    assert usable_device("cpu") == torch.device("cpu") == Ranks("cpu").device
    assert usable_device("cpu:0").type == "cpu"
