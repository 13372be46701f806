"""Target values: equality over all fields, look-up, overrides."""

import dataclasses
import subprocess
import sys

import pytest

from tosaic.errors import InputError
from tosaic.targets import Limits, Target, all_targets, target


def test_every_vela_configuration_is_there():
    names = [n for n in all_targets() if n.startswith("ethos-u")]
    assert names == [
        *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
        *(f"ethos-u65-{macs}" for macs in (256, 512)),
        *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
    ]
    for name in names:
        value = target(name)
        assert value.device.accelerator == name
        assert value.device.system_config and value.device.memory_mode
        assert not value.takes_float


def test_plain_tosa():
    assert target("tosa") == target("tosa-1.0-int+fp")
    assert target("tosa-1.0-fp").takes_float and not target("tosa-1.0-fp").takes_integers
    assert not target("tosa-1.0-int").takes_float


def test_cortex_m_has_float_where_it_is_named():
    for name in ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"):
        plain, float_ = target(name), target(f"{name}-float")
        assert not plain.takes_float and float_.takes_float and float_.takes_integers
        assert plain.device == float_.device and plain.device.kernels


def test_names_are_forgiving_about_case():
    assert target("Ethos_U55_128") == target("ethos-u55-128")


@pytest.mark.parametrize("field", [f.name for f in dataclasses.fields(Target)])
def test_equality_and_hash_cover_every_field(field):
    base = target("ethos-u55-128")
    other = {"limits": Limits(), "profiles": ("pro_fp",), "backend": "tosa"}.get(field, ("x",))
    changed = dataclasses.replace(base, **{field: other})
    assert changed != base
    assert len({base, changed, dataclasses.replace(base)}) == 2


def test_overrides_keep_the_value_hashable():
    value = target("ethos-u85-256", vela_flags=["--optimise=Size"], memory_mode="Dedicated_Sram")
    assert value.device.vela_flags == ("--optimise=Size",)
    assert value.device.memory_mode == "Dedicated_Sram"
    hash(value)
    assert target(value) == value


def test_unknown_name_lists_near_and_all():
    with pytest.raises(InputError, match=r"ethos-u55-129.*Did you mean ethos-u55-128.*tosa-1\.0"):
        target("ethos-u55-129")


def test_unknown_field_is_named():
    with pytest.raises(InputError, match=r"no field 'memorymode'.*memory_mode"):
        target("ethos-u85-256", memorymode="x")
    with pytest.raises(InputError, match=r"tosa-1\.0-int\+fp has no field 'memory_mode'"):
        target("tosa", memory_mode="x")


def test_import_is_light():
    code = (
        "import sys, tosaic.targets;"
        "bad = [m for m in sys.modules if m.split('.')[0] in ('torch', 'torch_mlir', 'numpy')];"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
