"""All ways to a training set, as methods of `TrainingSet`.

Each reader has a file of its own, which is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scoremachines.errors import InputError

if TYPE_CHECKING:
    from scoremachines.data.training_set import TrainingSet

__all__ = ["Readers"]


class Readers:
    """Constructors of `TrainingSet` from files, arrays, data sets and by name."""

    @staticmethod
    def from_folder(
        path: str | Path,
        size: int | Sequence[int] | None = None,
        crop: str = "centre",
        channels: int | None = None,
        *,
        limit: int | None = None,
    ) -> TrainingSet:
        """Read all images below a folder, ordered by path; other files are left out.

        Sub-folders are classes if every image lies in one; leading folders that all images share
        do not count. EXIF orientation is applied, colour profiles are converted to sRGB, 16-bit
        grey is scaled to bytes, and of files with several frames the first is read, with a
        warning. Pictures that cannot be read (no permission, a format such as HEIC) are counted by
        the reason in a warning and in `left_out`. All images get as many channels as the richest:
        grey, colour, or colour with alpha where any pixel is not opaque.

        Args:
            path: the folder.
            size: side of a square, or height and width, to bring every image to, in pixels; None
                if they are of one size already.
            crop: "centre" scales each picture until it covers `size` and keeps the middle;
                "stretch" scales each side by itself; "tiles" cuts it into tiles without scaling.
            channels: 1, 3 or 4, or None for what the images have. Where alpha is given up, the
                images are laid on white.
            limit: read at most so many pictures, spread evenly over the folder.

        Returns:
            The training set, uint8.

        Raises:
            InputError: if there is no such folder, no image in it, one that is damaged or too
                large, or images of mixed sizes and no `size`.
        """
        from scoremachines.data.folder import read_folder
        from scoremachines.data.framing import Framing

        return read_folder(path, Framing.of(size, crop, channels), limit)

    @staticmethod
    def from_zip(
        path: str | Path,
        size: int | Sequence[int] | None = None,
        crop: str = "centre",
        channels: int | None = None,
        *,
        limit: int | None = None,
    ) -> TrainingSet:
        """Read all images in a zip file as `from_folder` does; nothing is unpacked to disk.

        Its pictures may unpack to 1 GiB in all, or to 100 times the file where that is more, each
        to 256 MiB; archives inside it are not opened.

        Args:
            path: the zip file.
            size: as in `from_folder`.
            crop: as in `from_folder`.
            channels: as in `from_folder`.
            limit: as in `from_folder`.

        Returns:
            The training set, uint8.

        Raises:
            InputError: if the file is damaged or encrypted, or as in `from_folder`.
        """
        from scoremachines.data.folder import read_zip
        from scoremachines.data.framing import Framing

        return read_zip(path, Framing.of(size, crop, channels), limit)

    @staticmethod
    def from_file(
        path: str | Path,
        *,
        limits: tuple[float, float] | None = None,
        layout: str | None = None,
        images_key: str | None = None,
        labels_key: str | None = None,
    ) -> TrainingSet:
        """Read a `.npy` or `.npz` file; bytes in a `.npy` stay on disk until they are needed.

        In a `.npz`, images are called images, x, arr_0, x_train or train_images, and labels, if
        there are any, labels, y, arr_1, y_train or train_labels; a warning names the arrays that
        are left out. Files with Python objects are refused, not unpickled, and so is what would
        unpack to more than half of this machine's memory.

        Args:
            path: the file.
            limits: as in `from_array`.
            layout: as in `from_array`.
            images_key: name of the images in a `.npz`, where it is another one.
            labels_key: name of their labels.

        Returns:
            The training set.

        Raises:
            InputError: if the file is missing or damaged, or as in `from_array`.
        """
        from scoremachines.data.numpy_files import read_numpy

        return read_numpy(path, limits, layout, images_key, labels_key)

    @staticmethod
    def from_idx(path: str | Path, labels: str | Path | None = None) -> TrainingSet:
        """Read images in MNIST's IDX format, gzipped or not.

        Args:
            path: the file of the images.
            labels: the file of the labels; by default the one beside the images that is called
                labels-idx1 where theirs is called images-idx3.

        Returns:
            The training set, uint8; on a memory map if the file is not compressed.

        Raises:
            InputError: if a file is missing, truncated or of another kind.
        """
        from scoremachines.data.idx import read_idx

        return read_idx(path, labels)

    @staticmethod
    def from_array(
        array: Any,
        labels: Any | None = None,
        classes: Sequence[str] = (),
        *,
        limits: tuple[float, float] | None = None,
        layout: str | None = None,
        name: str = "array",
    ) -> TrainingSet:
        """Take images from an array or tensor, without a copy where that is possible.

        Bytes mean 0 to 255. Real numbers must lie in [-1, 1]; since numbers that all lie in [0, 1]
        could as well be meant as [0, 1], those need `limits`, and so do whole numbers other than
        bytes.

        Args:
            array: images `[N, H, W]`, `[N, H, W, C]` or `[N, C, H, W]`.
            labels: number of each image's class, `[N]` or `[N, 1]`.
            classes: the name of each class, by number.
            limits: the values that become -1 and 1, such as (0, 1); none may lie outside.
            layout: "NHW", "NHWC" or "NCHW"; needed where the shape fits several, or where the
                channels are not 1, 3 or 4.
            name: what to call the set.

        Returns:
            The training set.

        Raises:
            InputError: if shape, range, kind or labels are not as described, or a value is NaN.
        """
        from scoremachines.data.arrays import from_array

        return from_array(array, labels, classes, limits=limits, layout=layout, name=name)

    @staticmethod
    def from_dataset(
        dataset: Any,
        size: int | Sequence[int] | None = None,
        crop: str = "centre",
        *,
        limits: tuple[float, float] | None = None,
        layout: str | None = None,
        limit: int | None = None,
        images_key: str | None = None,
        labels_key: str | None = None,
    ) -> TrainingSet:
        """Read a `torch.utils.data.Dataset`, map-style or iterable, from first to last.

        An item is an image, a pair of image and label, or a dictionary with an `image` and perhaps
        a `label`. Images are Pillow's, tensors or arrays. Labels are named by the `classes` of the
        data set, by the `features` of one of Hugging Face, or by those of what a `Subset` or
        `ConcatDataset` is made of.

        Args:
            dataset: the data set.
            size: as in `from_folder`.
            crop: as in `from_folder`.
            limits: as in `from_array`: (0, 1) for the tensors that most data sets yield.
            layout: as in `from_array`, with N for the items.
            limit: read at most so many items, spread evenly if the data set has a length.
            images_key: key of the image in items that are dictionaries, where it is another one.
            labels_key: key of the label, such as fine_label.

        Returns:
            The training set.

        Raises:
            InputError: if the data set is empty, or its items are not as described.
        """
        from scoremachines.data.datasets import read_dataset
        from scoremachines.data.framing import Framing

        framing = Framing.of(size, crop)
        return read_dataset(dataset, framing, limits, layout, limit, images_key, labels_key)

    @staticmethod
    def shapes(**knobs: Any) -> TrainingSet:
        """Make a crafted set with a judge (theory §6).

        Args:
            **knobs: settings of `ShapesConfig`, such as n, size, features, shared and seed.

        Returns:
            The training set.

        Raises:
            InputError: if a setting is unknown or out of range.
        """
        from scoremachines.data.shapes import ShapesConfig, make_shapes

        known = [field.name for field in fields(ShapesConfig)]
        for knob in knobs:
            if knob not in known:
                raise InputError(knob, knobs[knob], ", ".join(known), "there is no such setting")
        return make_shapes(ShapesConfig(**knobs))

    @staticmethod
    def digits() -> TrainingSet:
        """Return 1,797 handwritten digits, 8×8 and grey, labelled 0 to 9.

        Returns:
            The training set, float32.
        """
        from scoremachines.data.bundled import digits

        return digits()

    @staticmethod
    def photographs(size: int | Sequence[int] = 32, reduce: int = 1) -> TrainingSet:
        """Return tiles of two photographs, of a temple and of a flower.

        Args:
            size: side of the tiles, or their height and width, in pixels.
            reduce: factor by which the photographs are shrunk first, so that a tile shows more.

        Returns:
            The training set, uint8, labelled by photograph: 520 tiles of 32×32.

        Raises:
            InputError: if size or reduce is not as described, or no tile fits.
        """
        from scoremachines.data.bundled import photographs

        return photographs(size, reduce)
