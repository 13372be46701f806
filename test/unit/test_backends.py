"""What every backend that is registered must do, whatever it is for."""

import dataclasses

import pytest

from tosaic.backends import Backend, all_backends, backend_of
from tosaic.clock import Clock
from tosaic.dialects.bindings import ir, make_context
from tosaic.emit import deserialize
from tosaic.errors import InputError
from tosaic.lowering.pipeline import Pipeline
from tosaic.program import Program
from tosaic.stages import Options
from tosaic.targets import Target, all_targets, target
from tosaic.tuning.trials import Figures

BACKENDS = all_backends()
# A dense layer, which every device has.
DENSE = """
func.func @NAME(%x: tensor<1x1x1x8xi8>) -> tensor<1x1x1x4xi8> {
  %w = "tosa.const"() <{values = dense<3> : tensor<4x1x1x8xi8>}> : () -> tensor<4x1x1x8xi8>
  %b = "tosa.const"() <{values = dense<BIAS> : tensor<4xi32>}> : () -> tensor<4xi32>
  %z = "tosa.const"() <{values = dense<0> : tensor<1xi8>}> : () -> tensor<1xi8>
  %z32 = "tosa.const"() <{values = dense<0> : tensor<1xi32>}> : () -> tensor<1xi32>
  %m = "tosa.const"() <{values = dense<1073741824> : tensor<1xi32>}> : () -> tensor<1xi32>
  %s = "tosa.const"() <{values = dense<35> : tensor<1xi8>}> : () -> tensor<1xi8>
  %0 = tosa.conv2d %x, %w, %b, %z, %z {acc_type = i32, dilation = array<i64: 1, 1>,
    pad = array<i64: 0, 0, 0, 0>, stride = array<i64: 1, 1>} : (tensor<1x1x1x8xi8>,
    tensor<4x1x1x8xi8>, tensor<4xi32>, tensor<1xi8>, tensor<1xi8>) -> tensor<1x1x1x4xi32>
  %1 = tosa.rescale %0, %m, %s, %z32, %z {input_unsigned = false, output_unsigned = false,
    per_channel = false, rounding_mode = SINGLE_ROUND, scale32 = true} : (tensor<1x1x1x4xi32>,
    tensor<1xi32>, tensor<1xi8>, tensor<1xi32>, tensor<1xi8>) -> tensor<1x1x1x4xi8>
  return %1 : tensor<1x1x1x4xi8>
}
"""


def program(*names):
    functions = (
        DENSE.replace("NAME", name).replace("BIAS", str(k)) for k, name in enumerate(names)
    )
    return Program(ir.Module.parse("\n".join(functions), make_context()))


def integers(backend):
    """The first target of a backend that computes in integers."""
    return next(value for value in backend.targets.values() if value.takes_integers)


@pytest.fixture(params=BACKENDS, ids=str)
def backend(request):
    return BACKENDS[request.param]


def test_its_targets_are_values_of_its_own(backend):
    assert BACKENDS[backend.name] is backend
    for name, value in backend.targets.items():
        assert target(name) == all_targets()[name] == value
        assert value.backend == backend.name and backend_of(value) is backend
        assert isinstance(hash(value), int)
        fields = dataclasses.fields(value.device) if value.device is not None else ()
        for field in fields:
            changed = target(value, **{field.name: "other"})
            assert getattr(changed.device, field.name) == "other" and changed != value
        backend.check(value, Options())


def test_its_options_have_defaults_and_say_what_they_do(backend):
    backend.options()
    for option in dataclasses.fields(backend.options):
        assert option.metadata["what"]
        Options(own={option.name: getattr(backend.options(), option.name)})
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(backend.options(), option.name, None)
    with pytest.raises(InputError, match="has no option 'no_such_option'; its own options are"):
        Options(own={"no_such_option": 1}).check(integers(backend))


def test_its_pipelines_are_text_that_runs(backend):
    for value in backend.targets.values():
        pipeline = Pipeline.parse(backend.legalize(value))
        assert Pipeline.parse(str(pipeline)) == pipeline
    module = program("main").module
    Pipeline.parse(backend.legalize(integers(backend))).run(module)
    assert "tosa.conv2d" in str(module) and module.operation.verify()


@pytest.mark.parametrize("names", [("main",), ("encode", "decode")], ids="-".join)
def test_it_makes_an_artifact_of_each_entry(backend, names):
    value, whole = integers(backend), program(*names)
    Pipeline.parse(backend.legalize(value)).run(whole.module)
    artifacts = backend.finish(whole, value, Options(), Clock())
    assert tuple(artifacts.entries) == names
    for artifact in artifacts.entries.values():
        assert [entry.name for entry in Program(artifact.module).entries] == ["main"]
        again = deserialize(artifact.flatbuffer, make_context())
        assert str(again).count("tosa.conv2d") == str(artifact.module).count("tosa.conv2d") == 1
        assert (
            set(artifact.costs)
            == set(backend.costs)
            <= {f.name for f in dataclasses.fields(Figures)}
        )
        assert all(figure >= 0 for figure in artifact.costs.values())
    files = artifacts.files("net")
    stems = ["net", *(f"net_{name}" for name in names if len(names) > 1)]
    allowed = {f"{stem}{ending}" for stem in stems for ending in backend.endings}
    assert set(files) <= allowed and all(isinstance(data, bytes) for data in files.values())


def test_options_of_other_backends_are_explained():
    with pytest.raises(
        InputError, match=r"max_arena limits Cortex-M programs; target tosa-1\.0-int"
    ):
        Options(own={"max_arena": 1}).check(target("tosa-1.0-int"))


def test_a_target_without_a_backend_is_refused():
    lost = Target(name="lost", backend="gone")
    with pytest.raises(InputError, match="lost is for backend 'gone', which is not installed"):
        backend_of(lost)


def test_the_protocol_has_what_is_asked_of_packages():
    members = {name for name in vars(Backend) if not name.startswith("_")}
    members |= set(Backend.__annotations__)
    assert members == {
        *("name", "targets", "options", "costs", "endings"),
        *("check", "legalize", "finish"),
    }
