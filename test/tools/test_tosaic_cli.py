"""The command line: what it does when all is well, and what it says when something is not."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support.command_line import TINY

ROOT = Path(__file__).parents[2]
TOOL = Path(sys.executable).parent / "tosaic"
U55 = ("--target", "ethos-u55-128", "--quantize", "int8")

MODEL = """
import torch
from torch import nn


class Model(nn.Module):
    def forward(self, x):
        return {body}


def factory():
    return {result}
"""


@pytest.fixture
def samples():
    return np.random.default_rng(0).standard_normal((8, 3, 16, 16)).astype(np.float32)


@pytest.fixture
def data(tmp_path, samples):
    path = tmp_path / "data.npz"
    np.savez(path, image=samples)
    return path


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def model_file(tmp_path, body="torch.relu(x)", result="Model().eval()", text=None):
    path = tmp_path / "model.py"
    path.write_text(text or MODEL.format(body=body, result=result))
    return f"{path}:factory"


def is_one_paragraph(result, *parts):
    """The house rule for errors: exit code 1, one paragraph, no traceback, these parts in it."""
    assert result.code == 1, result.err
    assert "Traceback" not in result.err and "\n\n" not in result.err.strip()
    assert result.problem.startswith("error: "), result.err
    for part in parts:
        assert part in result.problem, result.problem


def fails(result, out, *parts):
    """`is_one_paragraph`, and nothing was written."""
    is_one_paragraph(result, *parts)
    assert not out.exists()


# --- all is well ---------------------------------------------------------------------------------


def test_compile_run_inspect(tosaic, tmp_path, data, samples, out):
    done = tosaic("compile", TINY, *U55, "--calibration", data, "-o", out, "--report")
    assert done.code == 0, done.err
    assert "vela …" in done.err and "cycles" in done.out and "3 CONV2D" in done.out
    assert re.search(r"Conv2D +'conv2d' at .*tiny_cnn\.py:26", done.out)
    files = sorted(path.name for path in out.iterdir())
    assert files == ["tiny_cnn.json", "tiny_cnn.mlir", "tiny_cnn.tosa", "tiny_cnn_vela.npz"]

    results = []
    for executor in ("jit", "reference"):
        answers = tmp_path / f"{executor}.npz"
        done = tosaic("run", out, "--inputs", data, "--executor", executor, "-o", answers)
        assert done.code == 0, done.err
        assert "8 run(s)" in done.out
        with np.load(answers) as file:
            results.append(file[file.files[0]])
    assert results[0].shape == (8, 4) and results[0].dtype == np.float32
    assert np.array_equal(*results)

    done = tosaic("inspect", out)
    assert done.code == 0, done.err
    assert "3 tosa.conv2d" in done.out and "command stream" in done.out
    assert "tosa.transpose" in tosaic("inspect", out / "tiny_cnn.tosa", "--mlir").out


ENTRIES = """
import torch
from torch import nn


class Scores(nn.Module):
    def __init__(self, table, bias):
        super().__init__()
        self.table = table
        self.bias = nn.Parameter(torch.full((4,), bias))

    def forward(self, x):
        return self.table(x) + self.bias


def factory():
    torch.manual_seed(0)
    table = nn.Linear(8, 4)
    one, two = Scores(table, 0.5).eval(), Scores(table, -0.5).eval()
    return {"one": (one, (torch.zeros(1, 8),)), "two": two}
"""


@pytest.fixture
def two_entries(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("one", "two"):
        np.savez(tmp_path / f"{name}.npz", x=rng.standard_normal((8, 8)).astype(np.float32))
    data = [f"{name}={tmp_path / name}.npz" for name in ("one", "two")]
    return model_file(tmp_path, text=ENTRIES), ("--calibration", data[0], "--calibration", data[1])


def test_several_entries(tosaic, tmp_path, two_entries, out):
    model, data = two_entries
    done = tosaic("compile", model, *U55, *data, "-o", out, "--name", "net", "--report")
    assert done.code == 0, done.err
    assert "entry one" in done.out and "two: cycles" in done.out
    assert sorted(path.name for path in out.iterdir()) == [
        *("net.json", "net.mlir", "net_one.tosa", "net_one_vela.npz"),
        *("net_two.tosa", "net_two_vela.npz"),
    ]
    answers = {}
    for name in ("one", "two"):
        given = ("--inputs", tmp_path / "one.npz", "-o", tmp_path / "answers.npz")
        done = tosaic("run", out, "--entry", name, *given)
        assert done.code == 0, done.err
        with np.load(tmp_path / "answers.npz") as file:
            answers[name] = file[file.files[0]]
        assert tosaic("run", out / f"net_{name}.tosa", *given).code == 0
        with np.load(tmp_path / "answers.npz") as file:
            assert np.array_equal(file[file.files[0]], answers[name])
    assert answers["one"].dtype == np.float32
    assert np.abs(answers["one"] - answers["two"] - 1.0).max() < 0.1
    done = tosaic("inspect", out)
    assert "net_one.tosa" in done.out and "net_two.tosa" in done.out
    assert "net_two.tosa" not in tosaic("inspect", out, "--entry", "one").out
    done = tosaic("inspect", out / "net.mlir")
    assert "entry one" in done.out and "entry two" in done.out

    is_one_paragraph(tosaic("run", out, "--inputs", "x.npz"), "entries one, two", "--entry")
    wrong = tosaic("run", out, "--inputs", "x.npz", "--entry", "three")
    is_one_paragraph(wrong, "no entry 'three'", "one, two")
    file = out / "net_one.tosa"
    wrong = tosaic("run", file, "--inputs", "x.npz", "--entry", "one")
    is_one_paragraph(wrong, "--entry chooses of a folder")

    # Another target, and then another model: files of the first do not stay.
    m55 = ("--target", "cortex-m55", "--quantize", "int8")
    assert tosaic("compile", model, *m55, *data, "-o", out, "--name", "net").code == 0
    assert sorted(path.name for path in out.iterdir()) == [
        *("net.h", "net.json", "net.mlir", "net.weights", "net_one.plan", "net_one.tosa"),
        *("net_two.plan", "net_two.tosa"),
    ]
    done = tosaic("compile", TINY, "--target", "tosa-1.0-fp", "-o", out, "--name", "net")
    assert done.code == 0, done.err
    assert sorted(path.name for path in out.iterdir()) == ["net.json", "net.mlir", "net.tosa"]


def test_several_entries_are_explained(tosaic, tmp_path, two_entries, data, out):
    model, given = two_entries
    fails(tosaic("compile", model, *U55, *given[:2], "-o", out), out, "'two' has no data")
    fails(
        tosaic("compile", model, *U55, "--calibration", data, "-o", out),
        out,
        "does not name an entry",
        "one, two",
    )
    fails(
        tosaic("compile", model, *U55, *given, "--input-shape", "1x8", "-o", out),
        out,
        "are for one model",
    )
    fails(
        tosaic("compile", TINY, *U55, "--calibration", data, "--calibration", data, "-o", out),
        out,
        "given twice",
    )
    wrong = tosaic("explain", model, "--quantize", "int8")
    is_one_paragraph(wrong, "gave several models (one, two)")
    bad = model_file(tmp_path, text="def factory():\n    return {'a-b': 1}\n")
    fails(tosaic("compile", bad, "-o", out), out, "'a-b' cannot be the name of an entry")
    bad = model_file(tmp_path, text="def factory():\n    return {'ab': 1}\n")
    fails(tosaic("compile", bad, "-o", out), out, "factory['ab'] gave a int, not a model")


def test_integers_in_integers_out(tosaic, tmp_path, data, samples, out):
    assert tosaic("compile", TINY, *U55, "--calibration", data, "-o", out).code == 0
    info = json.loads((out / "tiny_cnn.json").read_text())["inputs"][0]
    stored = np.clip(np.rint(samples / info["scale"]) + info["zero_point"], -128, 127)
    np.savez(tmp_path / "int8.npz", stored[:1].astype(np.int8))
    done = tosaic("run", out, "--inputs", tmp_path / "int8.npz")
    assert done.code == 0 and " int8 " in done.out


def test_float_program_with_its_stages(tosaic, tmp_path, data, samples, out):
    target = ("--target", "tosa-1.0-fp", "--print-stages", "--name", "net")
    done = tosaic("compile", TINY, *target, "-o", out)
    assert done.code == 0, done.err
    assert "to-tosa: --pass-pipeline='tosaic-import-to-tosa'" in done.out
    assert sorted(path.name for path in out.iterdir()) == ["net.json", "net.mlir", "net.tosa"]
    assert tosaic("run", out, "--inputs", data, "-o", tmp_path / "out.npz").code == 0

    import torch

    sys.path.insert(0, str(ROOT / "examples"))
    from tiny_cnn import tiny_cnn

    with torch.no_grad():
        wanted = tiny_cnn()(torch.tensor(samples)).numpy()
    with np.load(tmp_path / "out.npz") as file:
        np.testing.assert_allclose(file[file.files[0]], wanted, rtol=1e-4, atol=1e-5)


def test_passes_and_what_they_leave(tosaic, tmp_path, data, out):
    dump = tmp_path / "dump"
    shown = ("--print-stages", "--dump-ir", dump)
    done = tosaic("compile", TINY, *U55, "--calibration", data, "-o", out, *shown)
    assert done.code == 0, done.err
    assert "normal: regions,functional,fixed-point(arguments," in done.out
    assert "parts: fixed-point(arguments," in done.out and "fold-batch-norm" in done.out
    files = sorted(path.name for path in dump.iterdir())
    assert [int(name[:3]) for name in files] == list(range(len(files)))
    steps = [name[4:] for name in files]
    assert steps.index("arguments.fx") < steps.index("fold-batch-norm.fx")
    assert steps.index("fold-batch-norm.fx") < steps.index("import.mlir")
    assert steps[-1] == "legalize.mlir"
    text = (dump / files[steps.index("fold-batch-norm.fx")]).read_text()
    assert "aten.conv2d.default" in text and "batch_norm" not in text
    assert "tosa.conv2d" in (dump / files[-1]).read_text()


def test_exported_program(tosaic, tmp_path, out):
    import torch

    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(torch.nn.ReLU().eval(), (torch.zeros(1, 4),)), path)
    done = tosaic("inspect", path)
    assert done.code == 0 and "1 torch.aten.relu" in done.out and "[1,4],f32" in done.out
    assert tosaic("compile", path, "--target", "tosa-1.0-fp", "-o", out).code == 0
    assert (out / "net.tosa").exists()


@pytest.mark.parametrize(
    ("result", "options"),
    [
        ("Model().eval(), (torch.zeros(2, 3),)", ()),
        ("Model().eval(), torch.zeros(2, 3)", ()),
        ("Model().eval()", ("--input-shape", "2x3")),
        ("Model().eval()", ("--input-shape", "2x3:float32")),
    ],
)
def test_where_shapes_come_from(tosaic, tmp_path, out, result, options):
    model = model_file(tmp_path, result=result)
    done = tosaic("compile", model, "--target", "tosa-1.0-fp", "-o", out, *options)
    assert done.code == 0, done.err
    assert json.loads((out / "factory.json").read_text())["inputs"][0]["shape"] == [2, 3]


def test_shapes_from_calibration_and_from_a_file(tosaic, tmp_path, out):
    data = tmp_path / "data.npz"
    np.savez(data, np.ones((4, 3), np.float32) * np.arange(4, dtype=np.float32)[:, None])
    model = model_file(tmp_path, body="torch.sigmoid(x)")
    done = tosaic("compile", model, *U55, "--calibration", data, "-o", out)
    assert done.code == 0, done.err
    assert json.loads((out / "factory.json").read_text())["inputs"][0]["shape"] == [1, 3]
    flags = ("--target", "tosa-1.0-fp", "--inputs", data, "-o", out)
    assert tosaic("compile", model, *flags).code == 0
    assert json.loads((out / "factory.json").read_text())["inputs"][0]["shape"] == [4, 3]
    # The command stream of the first compile would not belong to the second's files.
    assert not (out / "factory_vela.npz").exists()


def test_targets(tosaic):
    done = tosaic("targets")
    assert done.code == 0
    assert "ethos-u85-2048" in done.out and "Shared_Sram" in done.out and "tosa-1.0-fp" in done.out


def test_doctor(tosaic, monkeypatch):
    done = tosaic("doctor")
    assert done.code == 0, done.out
    assert done.out.count("✓") == 13

    from tosaic.tools import doctor

    monkeypatch.setattr(doctor, "_pinned", lambda: {"torch": "==1.0"})
    monkeypatch.setattr(doctor, "TOOLS", ("torch", "no-such-package"))
    done = tosaic("doctor")
    is_one_paragraph(done, "2 of the checks failed")
    assert "tested with 1.0" in done.out and "missing" in done.out


# --- bad models ----------------------------------------------------------------------------------


def test_unsupported_op(tosaic, tmp_path, out):
    model = model_file(tmp_path, body="torch.linalg.inv(x)")
    flags = ("--target", "tosa-1.0-fp", "--input-shape", "3x3", "-o", out)
    fails(tosaic("compile", model, *flags), out, "linalg_inv", "model.py:8", "no lowering")


def test_model_in_training_mode(tosaic, tmp_path, out):
    model = model_file(tmp_path, result="torch.nn.Sequential(Model(), torch.nn.Dropout())")
    flags = ("--target", "tosa-1.0-fp", "--input-shape", "2x3", "-o", out)
    fails(tosaic("compile", model, *flags), out, "training mode", "eval()")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("def factory():\n    raise ValueError('no weights')\n", ("model.py:2", "no weights")),
        ("import torch\ndef factory():\n    return torch.nn.Linear(3)\n", ("model.py:3", "Linear")),
        ("import no_such_module\n", ("model.py:1", "no_such_module")),
        ("def factory(:\n", ("model.py:1", "SyntaxError")),
        ("import sys\nsys.exit(3)\n", ("model.py:2", "SystemExit")),
        ("def factory(size):\n    pass\n", ("missing a required argument", "defaults")),
        ("def factory():\n    return 3\n", ("int", "nn.Module")),
        ("factory = 3\n", ("int", "nn.Module")),
        ("def factori():\n    return 3\n", ("no 'factory'", "Did you mean factori?")),
        ("example_inputs = 3\ndef factory():\n    import torch; return torch.nn.ReLU().eval()\n",
         ("example inputs", "int")),
    ],
)  # fmt: skip
def test_bad_model_files(tosaic, tmp_path, out, text, parts):
    result = tosaic("compile", model_file(tmp_path, text=text), "--target", "tosa", "-o", out)
    fails(result, out, *parts)


def test_model_that_is_not_there(tosaic, tmp_path, out):
    fails(tosaic("compile", tmp_path / "no.py:f", "-o", out), out, "no.py", "no such file")
    fails(tosaic("compile", tmp_path / "no.pt2", "-o", out), out, "no.pt2", "no such file")
    fails(tosaic("compile", "model", "-o", out), out, "FILE.py:FACTORY")
    (tmp_path / "bad.pt2").write_bytes(b"not a zip")
    fails(tosaic("compile", tmp_path / "bad.pt2", "-o", out), out, "bad.pt2", "torch.export.save")


def test_unknown_shapes(tosaic, tmp_path, out):
    fails(tosaic("compile", model_file(tmp_path), "-o", out), out, "--input-shape")
    flags = ("--input-shape", "1xbig", "-o", out)
    fails(tosaic("compile", model_file(tmp_path), *flags), out, "1xbig", "cannot be read")


# --- bad options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--target", "ethos-u56-128"), ("ethos-u56-128", "Did you mean")),
        (("--target", "ethos-u55-128"), ("integers only", "--quantize int8")),
        (("--quantize", "int8"), ("--calibration",)),
        (("--quantize", "int3", "--calibration", "DATA"), ("int3", "int8")),
        (("--calibration", "DATA"), ("--quantize",)),
        (("--io-layout", "nchwc"), ("nchwc", "nhwc")),
        (("--io-dtype", "float32"), ("float32", "int8")),
        (("--name", "../x"), ("../x",)),
        (("--no-such-option",), ("--no-such-option",)),
        (("--inputs", "DATA", "--input-shape", "1"), ("Give one",)),
    ],
)
def test_bad_options(tosaic, data, out, options, parts):
    options = [str(data) if option == "DATA" else option for option in options]
    fails(tosaic("compile", TINY, "-o", out, *options), out, *parts)


# --- bad data ------------------------------------------------------------------------------------


def save(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("write", "parts"),
    [
        (lambda p, x: None, ("no such file",)),
        (lambda p, x: p.write_text("text"), ("not an .npz",)),
        (lambda p, x: p.write_bytes(b""), ("not an .npz",)),
        (lambda p, x: np.save(p.open("wb"), x), ("single array",)),
        (lambda p, x: save(p, image=np.array([{}], object)), ("pickled",)),
        (lambda p, x: save(p, picture=x), ("picture", "'image'")),
        (lambda p, x: save(p, image=x, more=x), ("more", "'image'")),
        (lambda p, x: save(p, image=x[:, :, :8]), ("[8, 3, 8, 16]", "[samples, 3, 16, 16]")),
        (lambda p, x: save(p, image=x.astype(np.complex64)), ("complex64", "float32")),
        (lambda p, x: save(p, image=np.full(x.shape, "a")), ("<U1", "float32")),
        (lambda p, x: save(p, image=np.where(x > 1, np.nan, x)), ("NaN",)),
        (lambda p, x: save(p, image=np.where(x > 1, np.inf, x)), ("infinity",)),
        (lambda p, x: save(p, image=x[:0]), ("calibration data",)),
    ],
)
def test_bad_calibration(tosaic, out, samples, write, parts):
    path = out.with_name("bad.npz")
    write(path, samples)
    fails(tosaic("compile", TINY, *U55, "--calibration", path, "-o", out), out, *parts)


def test_damaged_archive(tosaic, data, out):
    content = bytearray(data.read_bytes())
    content[200:300] = bytes(100)
    data.write_bytes(content)
    fails(tosaic("compile", TINY, *U55, "--calibration", data, "-o", out), out, "damaged")


def test_bad_run(tosaic, tmp_path, data, samples, out):
    assert tosaic("compile", TINY, *U55, "--calibration", data, "-o", out).code == 0
    bad, answers = tmp_path / "bad.npz", tmp_path / "answers.npz"
    tosa = out / "tiny_cnn.tosa"

    def refused(*parts, program=out, executor="jit"):
        flags = ("--inputs", bad, "--executor", executor, "-o", answers)
        is_one_paragraph(tosaic("run", program, *flags), *parts)
        assert not answers.exists()

    np.savez(bad, image=samples[:, :1])
    refused("[8, 1, 16, 16]", "'image'")
    np.savez(bad, image=np.full_like(samples, np.nan))
    refused("NaN")
    np.savez(bad, image=samples)
    refused("no executor", "jit", executor="jot")
    refused("no such file", program=tmp_path / "no.tosa")
    refused("there are: none", program=tmp_path)
    garbage = tmp_path / "garbage.tosa"
    garbage.write_bytes(b"not a flatbuffer")
    refused("tosa-opt", program=garbage)
    is_one_paragraph(tosaic("inspect", garbage), "tosa-opt")
    is_one_paragraph(tosaic("inspect", data), "extension")

    manifest = json.loads((out / "tiny_cnn.json").read_text())
    (out / "tiny_cnn.json").write_text("{}")
    refused("manifest", program=tosa)
    manifest["outputs"][0]["shape"] = [1, 5]
    (out / "tiny_cnn.json").write_text(json.dumps(manifest))
    refused("other inputs and outputs", program=tosa)


# --- bad places ----------------------------------------------------------------------------------


@pytest.mark.parametrize("files_before_the_disk_is_full", [0, 1, 3])
def test_full_disk(tosaic, monkeypatch, data, out, files_before_the_disk_is_full):
    left, sync = [files_before_the_disk_is_full], os.fsync

    def full(descriptor):
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        sync(descriptor)

    compile_ = ("compile", TINY, *U55, "--calibration", data, "-o", out)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        fails(tosaic(*compile_), out, "no space left on device", str(out / "tiny_cnn"))
    # With files of an earlier compile there, they stay as they are.
    assert tosaic(*compile_).code == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    left[0] = files_before_the_disk_is_full
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        is_one_paragraph(tosaic(*compile_), "no space left on device")
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_output_that_cannot_be_written(tosaic, tmp_path, out):
    (tmp_path / "file").write_text("")
    flags = ("--target", "tosa-1.0-fp", "-o")
    is_one_paragraph(tosaic("compile", TINY, *flags, tmp_path / "file" / "x"), "Cannot write")
    (out / "tiny_cnn.mlir").mkdir(parents=True)
    is_one_paragraph(tosaic("compile", TINY, *flags, out), "tiny_cnn.mlir", "folder")
    assert [path.name for path in out.iterdir()] == ["tiny_cnn.mlir"]


# --- the process ---------------------------------------------------------------------------------


def test_torch_is_not_imported_for_what_does_not_need_it():
    check = "import sys, tosaic.tools.tosaic; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_interrupt_is_clean(tmp_path, out):
    text = "import signal\nprint('ready', flush=True)\nsignal.pause()\n"
    command = [TOOL, "compile", model_file(tmp_path, text=text), "-o", out]
    # A job in the background ignores interrupts, and so would what it starts.
    ours = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    signal.signal(signal.SIGINT, ours)
    assert process.stdout is not None and process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130 and b"Traceback" not in stderr
    assert not out.exists()


def test_no_noise_from_libraries(data, out):
    command = [TOOL, "compile", TINY, *U55, "--calibration", data, "-o", out]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert all(line.endswith(" …") for line in done.stderr.splitlines()), done.stderr


def test_compile_for_cortex_m(tosaic, data, out):
    flags = ("--target", "cortex-m55", "--quantize", "int8", "--calibration", data, "-o", out)
    fails(
        tosaic("compile", TINY, *flags, "--max-arena", "100"), out, "bytes of arena", "100 allowed"
    )
    done = tosaic("compile", TINY, *flags)
    assert done.code == 0 and "arena" in done.out
    assert {path.suffix for path in out.iterdir()} == {".tosa", ".json", ".mlir", ".plan", ".h"}
    for executor in ("runtime", "jit"):
        answers = out.parent / f"{executor}.npz"
        done = tosaic("run", out, "--inputs", data, "--executor", executor, "-o", answers)
        assert done.code == 0, done.err
    first, second = (np.load(out.parent / f"{name}.npz") for name in ("runtime", "jit"))
    np.testing.assert_array_equal(first[first.files[0]], second[second.files[0]])
