"""The executor `runtime` against the reference model and the JIT, for integers bit for bit."""

import threading

import numpy as np
import pytest
from programs import COUNTER, CUSTOM, LOOP, PROGRAMS

from support.models import bench, every_model, integer_program, stored
from support.tosa_cases import CASES, module_of, random_inputs
from tosaic.dialects.bindings import ir, make_context
from tosaic.emit.manifest import array_dtype
from tosaic.errors import ToolError
from tosaic.executors import make_executor
from tosaic.runtime import Model


@pytest.fixture(scope="module")
def context():
    return make_context()


def parsed(context, body):
    return ir.Module.parse(f"module {{ {body} }}", context)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_operators_equal_the_reference_model(context, case):
    with context, ir.Location.unknown():
        module = module_of(case)
    inputs = random_inputs(case)
    wanted = make_executor("reference", module).run(inputs)
    executor = make_executor("runtime", module)
    first = executor.run(inputs)
    for g, w in zip(first, wanted, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=case.tolerance, atol=case.tolerance)
    model = executor._model
    planned = Model(model._flatbuffer.tobytes(), model.plan())
    assert planned.plan() == model.plan()
    for other in (executor, planned):  # the first finds used memory
        for g, w in zip(other.run(inputs), first, strict=True):
            np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - {"custom"}))
def test_a_plan_changes_no_result(context, name):
    executor = make_executor("runtime", parsed(context, PROGRAMS[name]))
    model = executor._model
    planned = Model(model._flatbuffer.tobytes(), model.plan())
    rng = np.random.default_rng(0)
    inputs = [
        rng.integers(0, 2 if info.dtype == "bool" else 5, info.shape).astype(array_dtype(info))
        for info in executor._manifest.inputs
    ]
    for _ in range(3):  # variables change
        for got, wanted in zip(planned.run(inputs), model.run(inputs), strict=True):
            np.testing.assert_array_equal(got, wanted)


@every_model
def test_models_equal_the_jit(name):
    program = integer_program(name)
    for x in bench.held_out_inputs(name)[:2]:
        q = stored(program, x)
        (got,) = program.run(q, executor="runtime")
        (wanted,) = program.run(q, executor="jit")
        np.testing.assert_array_equal(got, wanted)


def test_variables_keep_their_values_until_reset(context):
    executor = make_executor("runtime", parsed(context, COUNTER))
    x = np.array([1, 10], np.int32)
    assert [executor.run([x])[0].tolist() for _ in range(3)] == [[3, 5], [4, 15], [5, 25]]
    executor._model.reset()
    assert executor.run([x])[0].tolist() == [3, 5]


def test_while_loop(context):
    executor = make_executor("runtime", parsed(context, LOOP))
    for start, end, factor in ((0, 5, 32), (4, 5, 2), (9, 9, 1)):
        i, x = executor.run([np.array(start, np.int32), np.array([1, 3], np.int32)])
        assert (i, x.tolist()) == (end, [factor, 3 * factor])


def test_a_loop_without_end_can_be_limited(context):
    program = make_executor("runtime", parsed(context, LOOP))._model._flatbuffer.tobytes()
    limited = Model(program, max_iterations=4)
    x = np.array([1, 3], np.int32)
    assert limited.run([np.array(1, np.int32), x])[0] == 5
    with pytest.raises(ToolError, match=r"failed at WHILE_LOOP, operator 0: .* max_iterations"):
        limited.run([np.array(0, np.int32), x])


def test_an_index_out_of_range_is_an_error(context):
    executor = make_executor(
        "runtime",
        parsed(
            context,
            """func.func @main(%v: tensor<1x4x1xi32>, %i: tensor<1x2xi32>) -> tensor<1x2x1xi32> {
      %0 = tosa.gather %v, %i : (tensor<1x4x1xi32>, tensor<1x2xi32>) -> tensor<1x2x1xi32>
      return %0 : tensor<1x2x1xi32> }""",
        ),
    )
    values = np.arange(4, dtype=np.int32).reshape(1, 4, 1)
    with pytest.raises(ToolError, match=r"failed at GATHER, operator 0: .*index out of range"):
        executor.run([values, np.array([[9, 0]], np.int32)])
    assert executor.run([values, np.array([[3, 0]], np.int32)])[0].ravel().tolist() == [3, 0]


def test_an_operator_without_kernel_is_named(context):
    with pytest.raises(ToolError, match=r"cannot load the program at CUSTOM, operator 0: .*kernel"):
        make_executor("runtime", parsed(context, CUSTOM))


def test_models_run_side_by_side():
    """Two threads, one model each and one shared, must not meet in any memory."""
    program = integer_program("ds_cnn")
    inputs = [stored(program, x) for x in bench.held_out_inputs("ds_cnn")[:4]]
    flatbuffer = program.flatbuffer
    shared = Model(flatbuffer)
    wanted = [shared.run([x])[0] for x in inputs]
    wrong = []

    def work():
        own = Model(flatbuffer)
        for _ in range(5):
            for x, y in zip(inputs, wanted, strict=True):
                for model in (own, shared):
                    if not np.array_equal(model.run([x])[0], y):
                        wrong.append(model)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
