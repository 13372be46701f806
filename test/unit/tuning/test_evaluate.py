"""`tosaic.evaluate`: data sets, metrics, and the same numbers whoever runs them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tosaic
from tosaic.errors import InputError
from tosaic.tuning.data import Slot, batches, from_arrays, image_folder
from tosaic.tuning.metrics import confusion, sqnr_db, top_k


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.head = nn.Linear(8, 7)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(image).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(50, 1, 6, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def labels(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What the float model says, but for every tenth sample."""
    with torch.no_grad():
        said = net(images).argmax(1)
    said[::10] = (said[::10] + 1) % 7
    return said


def test_forms(net: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    result = tosaic.evaluate(
        net,
        torch.utils.data.TensorDataset(images, labels),
        (images[:1],),
        quantize="int8",
        calibration=images.split(1),
    )
    assert result.count == 50 and list(result.forms) == ["float", "fake_quant", "integer"]
    exact, fake, integer = result.forms.values()
    assert exact.metrics["top1"] == pytest.approx(0.9)
    assert exact.sqnr_db is None
    assert fake.sqnr_db is not None and fake.sqnr_db > 20
    assert integer.sqnr_db == pytest.approx(fake.sqnr_db, abs=1)
    assert integer.confusion is not None
    assert np.sum(integer.confusion) == 50
    assert np.trace(integer.confusion) == round(50 * integer.metrics["top1"])


def test_every_way_gives_the_same(
    net: nn.Module, images: torch.Tensor, labels: torch.Tensor
) -> None:
    calibration = images.split(1)
    program = tosaic.compile(net, (images[:1],), quantize="int8", calibration=calibration)
    seen: list[np.ndarray] = []

    def remember(scores: np.ndarray, labels: np.ndarray) -> float:
        seen.append(scores)
        return float(labels.mean())

    for options in ({"jobs": 1}, {"jobs": 4}, {"executor": "reference"}):
        result = tosaic.evaluate(program, [(images, labels)], metrics={"mine": remember}, **options)
        assert result.forms["integer"].metrics == {"mine": labels.numpy().mean()}
    alone = np.concatenate([program.run(x)[0] for x in calibration])
    for scores in seen:
        np.testing.assert_array_equal(scores, alone)


def test_a_float_model_alone(net: nn.Module, images: torch.Tensor) -> None:
    result = tosaic.evaluate(net, ((x, None) for x in images), (images[:1],))
    assert list(result.forms) == ["float"] and result.forms["float"].metrics == {}


def test_batches_are_cut_and_filled() -> None:
    slots = [Slot((4, 3), np.dtype("f4")), Slot((4,), np.dtype("i8"))]
    x, y = np.arange(30.0).reshape(10, 3), np.arange(10)
    data = [((x[:1], y[:1]), [0]), ((x[1:9], y[1:9]), np.arange(1, 9)), ((x[9], y[9]), 9)]
    found = list(batches(data, slots))
    assert [batch.count for batch in found] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([b.inputs[0] for b in found])[:10], x)
    np.testing.assert_array_equal(np.concatenate([b.labels for b in found]), np.arange(10))
    np.testing.assert_array_equal(found[2].inputs[1], [8, 9, 9, 9])


def test_top_k_takes_the_first_of_equals() -> None:
    scores = np.array([[1, 3, 3, 0], [5, 5, 5, 5]])
    assert top_k(scores, np.array([1, 0]), 1) == 1.0
    assert top_k(scores, np.array([2, 1]), 1) == 0.0
    assert top_k(scores, np.array([2, 1]), 2) == 1.0
    assert top_k(scores, np.array([3, 3]), 3) == 0.0


def test_pixels_have_classes_too() -> None:
    scores = np.zeros((1, 2, 2, 2))
    scores[0, 1, 0] = 1
    labels = np.array([[[1, 1], [0, 1]]])
    assert top_k(scores, labels, 1) == 0.75
    np.testing.assert_array_equal(confusion(scores, labels), [[1, 0], [1, 2]])


def test_sqnr() -> None:
    signal = np.array([[10.0, 1.0], [10.0, -1.0]])
    noisy = signal + np.array([0.0, 0.1])
    assert sqnr_db([signal], [noisy], mean_removed=True) == pytest.approx(20)
    assert sqnr_db([signal], [noisy], mean_removed=False) == pytest.approx(
        10 * np.log10(202 / 0.02)
    )
    assert sqnr_db([signal], [signal], mean_removed=True) == np.inf
    assert sqnr_db([signal[:, :1]], [signal[:, :1] + 1], mean_removed=True) == -np.inf


def test_image_folder(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, grey in (("cat", 0), ("dog", 255)):
        (tmp_path / name).mkdir()
        image.fromarray(np.full((5, 4), grey, np.uint8)).save(tmp_path / name / "a.png")
    found = image_folder(tmp_path, (1, 3, 8, 6), mean=[0.5], deviation=[0.5, 0.25, 1.0])
    assert found.classes == ("cat", "dog") and len(found) == 2
    (black, zero), (white, one) = found
    assert (zero, one) == (0, 1) and black.shape == (3, 8, 6)
    np.testing.assert_allclose(black[:, 0, 0], [-1, -2, -0.5])
    np.testing.assert_allclose(white[:, 7, 5], [1, 2, 0.5])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "data set is empty"),
        ([torch.zeros(1, 1, 6, 6)], "Item 0 of the data is a Tensor; every item must be a pair"),
        ([((torch.zeros(6), torch.zeros(6)), 1)], "has 2 input(s); the model takes 1"),
        ([(torch.zeros(2, 1, 6, 5), None)], "has shape [2, 1, 6, 5]; one sample is [1, 6, 6]"),
        ([(torch.zeros(2, 1, 6, 6), [1])], "has 2 samples and 1 labels"),
        ([(torch.zeros(1, 6, 6, dtype=torch.complex64), 1)], "is complex64"),
        ([(torch.zeros(1, 6, 6), 1), (torch.zeros(1, 6, 6), None)], "Some samples"),
    ],
)
def test_bad_data(net: nn.Module, data: list[object], told: str) -> None:
    with pytest.raises(InputError) as error:
        tosaic.evaluate(net, data, (torch.zeros(1, 1, 6, 6),))
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"metrics": ["top2"]}, "no metric named 'top2'"),
        ({"metrics": ["top1"]}, "need a class number per sample"),
        ({"forms": ["integers"]}, "no form 'integers'"),
        ({"forms": ["integer"]}, "nothing to evaluate: a float model without a recipe"),
        ({"jobs": 0}, "jobs=0 must be 1 or more"),
    ],
)
def test_bad_options(net: nn.Module, options: dict[str, object], told: str) -> None:
    with pytest.raises(InputError) as error:
        tosaic.evaluate(net, [(torch.zeros(1, 6, 6), None)], (torch.zeros(1, 1, 6, 6),), **options)
    assert told in str(error.value)


def test_bad_files(tmp_path: Path) -> None:
    arrays = {"image": np.zeros(3), "labels": np.zeros(3)}
    with pytest.raises(InputError, match="has no array 'classes' for the labels; there are image"):
        from_arrays(arrays, ["image"], "classes")
    with pytest.raises(InputError, match="holds image, labels; the model takes image, mask"):
        from_arrays(arrays, ["image", "mask"])
    with pytest.raises(InputError, match="holds no images"):
        image_folder(tmp_path, (1, 1, 2, 2))
    with pytest.raises(InputError, match=r"images go into \[N, 1 or 3, H, W\]"):
        image_folder(tmp_path, (1, 40))
    with pytest.raises(InputError, match="is not a folder"):
        image_folder(tmp_path / "none", (1, 1, 2, 2))
    with pytest.raises(InputError, match="mean has 2 values"):
        image_folder(tmp_path, (1, 3, 2, 2), mean=[1, 2])
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="is not an image that can be read"):
        list(image_folder(tmp_path, (1, 1, 2, 2)))
