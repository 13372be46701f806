"""The JIT against the reference model, one op at a time; errors of executors."""

import numpy as np
import pytest
import torch

import tosaic
from support.tosa_cases import CASES, Case, const_acc, module_of, random_inputs
from tosaic.dialects.bindings import ir, make_context
from tosaic.dialects.types import i
from tosaic.errors import InputError, ToolError
from tosaic.executors import all_executors, make_executor

HOST = [name for name in all_executors() if not name.startswith("qemu")]


@pytest.fixture(scope="module")
def context():
    return make_context()


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_jit_equals_reference(context, case):
    with context, ir.Location.unknown():
        module = module_of(case)
    before = str(module)
    inputs = random_inputs(case)
    kept = [x.copy() for x in inputs]
    wanted = make_executor("reference", module).run(inputs)
    got = make_executor("jit", module).run(inputs)
    assert str(module) == before
    for x, y in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(x, y)
    assert len(got) == len(wanted)
    for g, w in zip(got, wanted, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        if g.dtype.kind == "f":
            np.testing.assert_allclose(g, w, rtol=case.tolerance, atol=case.tolerance)
        else:
            np.testing.assert_array_equal(g, w)


def test_inputs_are_checked(context):
    with context, ir.Location.unknown():
        module = module_of(next(c for c in CASES if c.name == "add_i32"))
    for name in HOST:
        executor = make_executor(name, module)
        x, y = np.zeros((2, 3, 4), np.int32), np.zeros((2, 1, 4), np.int32)
        with pytest.raises(InputError, match="takes 2 inputs"):
            executor.run([x])
        with pytest.raises(InputError, match=r"'input_1' must be int32 \[2, 1, 4\], got float32"):
            executor.run([x, y.astype(np.float32)])
        with pytest.raises(InputError, match=r"'input_0' must be"):
            executor.run([x[:1], y])
        strided = np.ones((2, 3, 8), np.int32)[:, :, ::2]
        assert executor.run([strided, y])[0].sum() == 24


def test_unknown_executor():
    with pytest.raises(InputError, match=r"'jitt'.*Did you mean jit"):
        make_executor("jitt", None)


def test_a_crash_of_the_reference_model_is_an_error(context):
    text = """func.func @main(%v: tensor<1x4x1xi32>, %i: tensor<1x2xi32>) -> tensor<1x2x1xi32> {
      %0 = tosa.gather %v, %i : (tensor<1x4x1xi32>, tensor<1x2xi32>) -> tensor<1x2x1xi32>
      return %0 : tensor<1x2x1xi32> }"""
    executor = make_executor("reference", ir.Module.parse(text, context))
    values = np.arange(4, dtype=np.int32).reshape(1, 4, 1)
    with pytest.raises(ToolError, match=r"index\(0, 0\)=9"):
        executor.run([values, np.array([[9, 0]], np.int32)])
    assert executor.run([values, np.array([[3, 0]], np.int32)])[0].ravel().tolist() == [3, 0]


def test_an_op_the_jit_cannot_lower_is_an_error(context):
    text = """func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
      %0 = tosa.custom %x {domain_name = "d", implementation_attrs = "", operator_name = "o"} :
        (tensor<2xf32>) -> tensor<2xf32> loc("mine"("model.py":7:1))
      return %0 : tensor<2xf32> }"""
    with pytest.raises(ToolError, match=r"'mine' at model.py:7: failed to legalize.*tosa.custom"):
        make_executor("jit", ir.Module.parse(text, context))


def test_control_flow(context):
    text = """func.func @main(%c: tensor<i1>, %x: tensor<2xi32>) -> tensor<2xi32> {
      %0 = tosa.cond_if %c (%a = %x) : tensor<i1> (tensor<2xi32>) -> tensor<2xi32> {
      ^bb0(%a: tensor<2xi32>):
        %k = "tosa.const"() <{values = dense<7> : tensor<2xi32>}> : () -> tensor<2xi32>
        %1 = tosa.add %a, %k : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
        tosa.yield %1 : tensor<2xi32>
      } else {
      ^bb0(%b: tensor<2xi32>):
        tosa.yield %b : tensor<2xi32>
      }
      return %0 : tensor<2xi32> }"""
    module = ir.Module.parse(text, context)
    for name in HOST:
        executor = make_executor(name, module)
        for flag, want in ((True, [8, 9]), (False, [1, 2])):
            out = executor.run([np.array(flag), np.array([1, 2], np.int32)])
            assert out[0].tolist() == want


def test_int48_is_int64_in_numpy(context):
    def build(b, x):
        w, zero = b.const(np.full((1, 1, 1, 1), -127), i(8)), const_acc(b, [-1], "i48")
        return b.conv2d(x, w, zero)

    with context, ir.Location.unknown():
        module = module_of(Case("i48", [([1, 1, 2, 1], "i16")], build))
    with pytest.raises(ToolError, match="int48"):
        make_executor("reference", module)
    got = make_executor("jit", module).run([np.array([[[[32767], [-32768]]]], np.int16)])[0]
    assert got.dtype == np.int64 and got.ravel().tolist() == [-127 * 32767 - 1, 127 * 32768 - 1]


@pytest.mark.parametrize("executor", ["reference", "jit"])
def test_bfloat16_goes_in_and_comes_out(executor):
    model = torch.nn.Conv2d(4, 8, 3, bias=False).to(torch.bfloat16).eval()
    x = torch.randn(1, 4, 8, 8).to(torch.bfloat16)
    program = tosaic.compile(model, (x,), target="tosa-1.0-fp")
    (y,) = program.run(x, executor=executor)
    assert y.dtype.name == "bfloat16"
    with torch.no_grad():
        expected = model(x).float().numpy()
    np.testing.assert_allclose(y.astype(np.float32), expected, rtol=2**-7, atol=1e-2)
