"""Data sets: arrays, folders of images and Python iterables, as a stream of samples."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tosaic.errors import InputError

Array = npt.NDArray[Any]
IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Slot:
    """An input of the model: its shape with the batch in front, and its dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, example: torch.Tensor) -> Slot:
        """Return the slot of an example input."""
        return cls(tuple(example.shape), example.detach().cpu().numpy().dtype)


@dataclass(frozen=True)
class Batch:
    """What one call of the model takes: an array per input; of its samples the first `count` count.

    `labels` has one entry per sample that counts, or is None.
    """

    inputs: tuple[Array, ...]
    labels: Array | None
    count: int


def batches(data: Iterable[Any], slots: Sequence[Slot]) -> Iterator[Batch]:
    """Cut `data` into calls of the model; the last is filled up with copies of its last sample.

    Each item is ``(inputs, labels)``: inputs is an array or tensor (for a model of several inputs a
    tuple of them), of one sample or of many along the leading axis, as a PyTorch Dataset or
    DataLoader has them; labels is a label, one per sample, or None.

    Raises:
        InputError: an item is of another form, shape or dtype.
    """
    size = slots[0].shape[0] if slots[0].shape else 1
    waiting: list[tuple[list[Array], Any]] = []
    for number, item in enumerate(data):
        for sample in _samples(number, item, slots):
            waiting.append(sample)
            if len(waiting) == size:
                yield _batch(waiting, slots, size)
                waiting = []
    if waiting:
        yield _batch(waiting, slots, size)


def pairs(inputs: Sequence[Array], labels: Array | None = None) -> Iterator[tuple[Any, Any]]:
    """Return a data set of arrays with samples along the leading axis."""
    yield tuple(inputs), labels


def image_folder(
    folder: str | Path,
    shape: Sequence[int],
    *,
    mean: Sequence[float] = (0.0,),
    deviation: Sequence[float] = (1.0,),
) -> ImageFolder:
    """Return the images of `folder` as a data set for an input of `shape`, [N, C, H, W].

    Each folder inside is a class, in the order of their names; images right in `folder` have no
    labels. Images are brought to H x W (bilinear) and to C channels (1 is grey, 3 is RGB), values
    to 0 to 1, less `mean`, over `deviation`, which have one value or one per channel.

    Raises:
        InputError: there is no such folder or no image in it, or `shape` is not of images.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"'{folder}' is not a folder. Give a folder of images, or an .npz file.")
    shape = tuple(shape)
    if len(shape) != 4 or shape[1] not in (1, 3):
        raise InputError(
            f"The model takes inputs of shape {list(shape)}; images go into [N, 1 or 3, H, W]. "
            "Give the data as an .npz file."
        )
    for name, values in (("mean", mean), ("deviation", deviation)):
        if len(values) not in (1, shape[1]):
            raise InputError(
                f"{name} has {len(values)} values; give one, or one for each of {shape[1]} "
                "channels."
            )
    classes = sorted(p.name for p in root.iterdir() if p.is_dir() and _images(p))
    files = [(p, n) for n, name in enumerate(classes) for p in _images(root / name)]
    found: list[tuple[Path, int | None]] = [*files] if files else [(p, None) for p in _images(root)]
    if not found:
        raise InputError(f"'{folder}' holds no images ({', '.join(IMAGES)}), nor do its folders.")
    return ImageFolder(
        tuple(found),
        tuple(classes),
        shape,
        np.asarray(mean, np.float32).reshape(-1, 1, 1),
        np.asarray(deviation, np.float32).reshape(-1, 1, 1),
    )


@dataclass(frozen=True)
class ImageFolder:
    """Image files with class numbers, read when they are wanted; see `image_folder`."""

    files: tuple[tuple[Path, int | None], ...]
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    mean: Array
    deviation: Array

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.files)

    def __iter__(self) -> Iterator[tuple[Array, int | None]]:
        """Read one image after another."""
        image = _import_pillow()
        _, channels, height, width = self.shape
        for path, label in self.files:
            try:
                with image.open(path) as opened:
                    fitted = opened.convert("L" if channels == 1 else "RGB").resize(
                        (width, height), image.Resampling.BILINEAR
                    )
            except (OSError, ValueError) as error:
                raise InputError(
                    f"'{path}' is not an image that can be read: {error}. Remove or replace it."
                ) from error
            pixels = np.asarray(fitted, np.float32).reshape(height, width, channels) / 255
            yield (pixels.transpose(2, 0, 1) - self.mean) / self.deviation, label


def _import_pillow() -> Any:
    try:
        return importlib.import_module("PIL.Image")
    except ImportError as error:
        raise InputError(
            "Reading images needs Pillow, which is not installed. Install it with: pip install "
            "'tosaic[tune]'."
        ) from error


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGES and p.is_file())


def _samples(number: int, item: Any, slots: Sequence[Slot]) -> Iterator[tuple[list[Array], Any]]:
    """Split a data item into (inputs without the batch axis, label)."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InputError(
            f"Item {number} of the data is a {type(item).__name__}; every item must be a pair of "
            "(inputs, labels), with None for labels that are not known."
        )
    inputs, labels = item
    arrays = inputs if isinstance(inputs, tuple | list) else (inputs,)
    if len(arrays) != len(slots):
        raise InputError(
            f"Item {number} of the data has {len(arrays)} input(s); the model takes {len(slots)}."
        )
    split = [
        _split(number, n, _as_array(x), slot)
        for n, (x, slot) in enumerate(zip(arrays, slots, strict=True))
    ]
    counts = {len(part) for part in split}
    if len(counts) > 1:
        raise InputError(
            f"The inputs of item {number} of the data have {', '.join(map(str, sorted(counts)))} "
            "samples; all need as many."
        )
    count = counts.pop()
    if labels is None:
        known: list[Any] = [None] * count
    else:
        given = _as_array(labels)
        if count == 1 and (given.ndim == 0 or len(given) != 1):
            given = given[None]
        known = list(given)
        if len(known) != count:
            raise InputError(
                f"Item {number} of the data has {count} samples and {len(known)} labels. Give one "
                "label per sample."
            )
    for n in range(count):
        yield [part[n] for part in split], known[n]


def _split(number: int, place: int, array: Array, slot: Slot) -> Array:
    """Return [samples, ...] of what `slot` takes."""
    wanted = slot.shape[1:]
    if not np.can_cast(array.dtype, slot.dtype, "same_kind"):
        raise InputError(
            f"Input {place} of item {number} of the data is {array.dtype}; the model takes "
            f"{slot.dtype}. Convert it."
        )
    if array.shape == wanted or not slot.shape:
        array = array[None]
    if array.shape[1:] != wanted:
        raise InputError(
            f"Input {place} of item {number} of the data has shape {list(array.shape)}; one sample "
            f"is {list(wanted)}, with or without an axis of samples in front."
        )
    return array.astype(slot.dtype, copy=False)


def _as_array(value: Any) -> Array:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _batch(samples: Sequence[tuple[list[Array], Any]], slots: Sequence[Slot], size: int) -> Batch:
    filled = [*samples, *[samples[-1]] * (size - len(samples))]
    inputs = tuple(
        np.stack([arrays[n] for arrays, _ in filled]) if slot.shape else filled[0][0][n]
        for n, slot in enumerate(slots)
    )
    labels = [label for _, label in samples]
    known = None if any(label is None for label in labels) else np.stack(labels)
    return Batch(inputs, known, len(samples))


def from_arrays(
    arrays: Mapping[str, Array], names: Sequence[str], labels: str | None = None
) -> Iterator[tuple[Any, Any]]:
    """Return a data set of named arrays: inputs by `names` (or arr_0 …), and perhaps `labels`.

    Raises:
        InputError: an array is missing, or there is one too many.
    """
    left = dict(arrays)
    label = left.pop(labels, None) if labels else None
    if labels and label is None:
        raise InputError(
            f"The data has no array '{labels}' for the labels; there are {', '.join(arrays)}."
        )
    by_order = [f"arr_{n}" for n in range(len(names))]
    for keys in (list(names), by_order):
        if sorted(keys) == sorted(left):
            return pairs([left[key] for key in keys], label)
    raise InputError(
        f"The data holds {', '.join(arrays)}; the model takes {', '.join(names)}. Name the arrays "
        "after the inputs, or save them in order (arr_0, arr_1 and so on); name the one with "
        "labels."
    )
