"""Image sets on disk: mapped into memory where they are large, read otherwise, refused where they are damaged."""

import io
import mmap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from imgcollapse.errors import DataProblem
from imgcollapse.files import digest_of
from imgcollapse.images import ImageSet
from imgcollapse.store import npz
from imgcollapse.store.npz import read_images, write_images

PARTS = ("pixels", "labels", "born")


def images(n: int = 40, shape: tuple[int, int, int] = (1, 5, 5)) -> ImageSet:
    pixels = torch.randint(0, 256, (n, *shape), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(n) % 3, torch.arange(n) % 4 - 1)


def points(n: int = 40, dim: int = 3) -> ImageSet:
    return ImageSet.of(torch.randn(n, 1, 1, dim, generator=torch.Generator().manual_seed(n)), torch.arange(n) % 3, born=2)


@pytest.fixture(params=[0, 2**40], ids=["mapped", "read"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small sets both ways."""
    monkeypatch.setattr(npz, "LARGE", request.param)
    return "read" if request.param else "mapped"


def same(one: ImageSet, other: ImageSet) -> bool:
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in PARTS)


def is_mapped(tensor: Tensor, path: Path) -> bool:
    """Whether its memory is a mapping of that file."""
    at = tensor.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(end, 16) for end in line.split()[0].split("-"))
        if low <= at < high:
            return line.endswith(f" {path}")
    return False


@pytest.mark.parametrize(
    "made", [images(), images(1), images(0), images(7, (3, 4, 6)), images(37, (1, 3, 3)), points(), points(5, 1), points(0)]
)
def test_what_is_written_is_read(made: ImageSet, tmp_path: Path, way: str) -> None:
    write_images(tmp_path / "a.npz", made)
    found = read_images(tmp_path / "a.npz")
    assert same(found, made) and found.digest() == made.digest()
    for part in PARTS:
        assert getattr(found, part).data_ptr() % getattr(found, part).element_size() == 0, "torch takes aligned memory for granted"
        assert getattr(found, part).is_contiguous()
    if Path("/proc/self/maps").exists() and len(made):
        assert is_mapped(found.pixels, tmp_path / "a.npz") == (way == "mapped"), "pixels come first, and lie aligned"


def test_only_large_files_are_mapped(tmp_path: Path) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux tells what is mapped")
    for n, large in ((100, False), (2000, True)):
        write_images(tmp_path / "a.npz", images(n, (1, 28, 28)))
        assert is_mapped(read_images(tmp_path / "a.npz").pixels, tmp_path / "a.npz") == large


def flat(n: int, side: int = 28) -> ImageSet:
    """Pictures that compress well."""
    pixels = torch.zeros((n, 1, side, side), dtype=torch.uint8)
    pixels[:, 0, 3:9, 3:9] = torch.randint(0, 256, (n, 1, 1), generator=torch.Generator().manual_seed(n), dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(n) % 10, torch.zeros(n, dtype=torch.int64))


def test_what_pays_is_compressed_and_known_by_what_is_in_it(tmp_path: Path) -> None:
    path, plain = tmp_path / "a.npz", tmp_path / "plain.npz"
    for made, packed in [(flat(2000), True), (flat(10), False), (images(2000, (1, 28, 28)), False), (points(40_000), False)]:
        content = write_images(path, made)
        np.savez(plain, **members(made))
        assert same(read_images(path), made) and (content is not None) == packed
        if packed:  # older versions, and other compressions, know the same pictures by the same digest
            assert content == digest_of(plain) and path.stat().st_size < plain.stat().st_size / 4
            assert same(read_images(path, 7), made[:7]) and zipfile.ZipFile(path).testzip() is None
            first = path.read_bytes()
            assert write_images(path, made) == content and path.read_bytes() == first, "no time is written into it"
            assert all(np.array_equal(np.load(path)[part], getattr(made, part).numpy()) for part in PARTS), "NumPy opens it"
        else:
            assert path.read_bytes() == plain.read_bytes()


def test_so_many_that_they_should_be_mapped_are_not_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MAPPED", 2000 * 28 * 28)
    assert write_images(tmp_path / "a.npz", flat(2000)) is None and write_images(tmp_path / "b.npz", flat(1999)) is not None
    if Path("/proc/self/maps").exists():
        assert is_mapped(read_images(tmp_path / "a.npz").pixels, tmp_path / "a.npz")


def test_a_flipped_bit_in_a_compressed_file_is_refused(tmp_path: Path) -> None:
    path, made = tmp_path / "a.npz", flat(2000)
    write_images(path, made)
    whole, refused = path.read_bytes(), 0
    for at in range(100, len(whole), len(whole) // 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            assert same(read_images(path), made), at
        except DataProblem:
            refused += 1
    assert refused > 30


def test_what_is_written_into_the_tensors_stays_out_of_the_file(tmp_path: Path, way: str, recwarn: pytest.WarningsRecorder) -> None:
    path, made = tmp_path / "a.npz", images()
    write_images(path, made)
    before = path.read_bytes()
    found = read_images(path)
    found.pixels[0], found.labels[0], found.born[0] = 7, 2, 9
    assert found.pixels[0].unique().tolist() == [7] and not recwarn.list
    assert path.read_bytes() == before and same(read_images(path), made)


def test_the_pictures_stay_when_the_file_goes_or_another_takes_its_place(tmp_path: Path, way: str) -> None:
    path, made = tmp_path / "a.npz", images()
    write_images(path, made)
    found = read_images(path)
    write_images(tmp_path / "b.npz", images(41))
    (tmp_path / "b.npz").rename(path)
    assert same(found, made)
    path.unlink()
    assert same(found, made)


def members(made: ImageSet) -> dict[str, Any]:
    return {part: getattr(made, part).numpy() for part in PARTS}


def test_a_file_that_somebody_has_written_again_is_read(tmp_path: Path, way: str) -> None:
    made = images()
    np.savez_compressed(tmp_path / "compressed.npz", **members(made))
    np.savez(tmp_path / "fortran.npz", **{**members(made), "pixels": np.asfortranarray(made.pixels.numpy())})
    np.savez(tmp_path / "order.npz", **dict(reversed(members(made).items())))
    with zipfile.ZipFile(tmp_path / "longer.npz", "w") as archive:  # members at odd places, pixels too
        for number, (part, array) in enumerate(members(made).items()):
            archive.writestr("x" * (number + 1), "x")
            content = io.BytesIO()
            np.lib.format.write_array(content, array, version=(2, 0))
            archive.writestr(f"{part}.npy", content.getvalue())
    (tmp_path / "prefixed.npz").write_bytes(b"#!/bin/odd\n" + (tmp_path / "order.npz").read_bytes())
    for path in tmp_path.iterdir():
        found = read_images(path)
        assert same(found, made), path
        for part in PARTS:
            assert getattr(found, part).data_ptr() % getattr(found, part).element_size() == 0, path


def big_endian(made: ImageSet, path: Path) -> None:
    np.savez(path, **{**members(made), "labels": made.labels.numpy().astype(">i8")})


def pickled(made: ImageSet, path: Path) -> None:
    np.savez(path, **{**members(made), "labels": made.labels.numpy().astype(object)})


def lacking(made: ImageSet, path: Path) -> None:
    np.savez(path, pixels=made.pixels.numpy(), labels=made.labels.numpy())


def uneven(made: ImageSet, path: Path) -> None:
    np.savez(path, **{**members(made), "labels": made.labels.numpy()[1:]})


def longer_than_it_is(made: ImageSet, path: Path) -> None:
    """A member whose header says one picture more than follow; the archive itself is whole."""
    content = io.BytesIO()
    np.lib.format.write_array(content, made.pixels.numpy())
    says = content.getvalue().replace(b"(40,", b"(41,")
    np.savez(path, labels=made.labels.numpy(), born=made.born.numpy())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("pixels.npy", says)


@pytest.mark.parametrize("write", [big_endian, pickled, lacking, uneven, longer_than_it_is])
def test_what_is_no_image_set_is_refused(write: Callable[[ImageSet, Path], None], tmp_path: Path, way: str) -> None:
    write(images(), tmp_path / "a.npz")
    with pytest.raises(DataProblem, match=r"a\.npz: cannot be read \(.*\); run the same command again, which repairs damaged generations$"):
        read_images(tmp_path / "a.npz")


def test_a_file_cut_anywhere_is_refused(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.npz"
    write_images(path, images())
    whole = path.read_bytes()
    for length in (0, 1, 30, 200, len(whole) // 2, *range(len(whole) - 100, len(whole), 7), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataProblem, match=r"a\.npz: cannot be read \("):
            read_images(path)


def test_no_flipped_bit_is_taken_for_a_picture(tmp_path: Path, way: str) -> None:
    """Wherever it is flipped: the file is refused, or is read as it was (names and times that nobody needs)."""
    path, made = tmp_path / "a.npz", images(6)
    write_images(path, made)
    whole, refused = path.read_bytes(), 0
    places = range(0, len(whole), 3)
    for at in places:
        hurt = bytearray(whole)
        hurt[at] ^= 1 << at // 3 % 8
        path.write_bytes(bytes(hurt))
        try:
            assert same(read_images(path), made), at
        except DataProblem:
            refused += 1
    assert refused > 0.7 * len(places)


def test_small_sets_hold_no_file_open_and_a_large_one_lets_go(tmp_path: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("only Linux tells what is open")
    write_images(tmp_path / "small.npz", images(100))
    write_images(tmp_path / "large.npz", images(2000, (1, 28, 28)))
    before = len(list(folder.iterdir()))
    held = [read_images(tmp_path / "small.npz") for _ in range(20)]
    assert len(list(folder.iterdir())) == before and len(held) == 20
    large = read_images(tmp_path / "large.npz")
    assert len(list(folder.iterdir())) == before + 1
    del large
    assert len(list(folder.iterdir())) == before
    assert mmap.PAGESIZE <= npz.LARGE, "less than a page is nothing to map"
