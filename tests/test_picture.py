"""The network sees what a viewer shows: orientation, transparency, depth; and what it always got of plain pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from ssam.data.images import check_all, decode, decode_all
from ssam.imagefolder import picture
from ssam.imagefolder.members import Members
from ssam.imagefolder.skipped import Skipped

ORIENTATION = 0x0112
GREY, ALPHA_OF_LA = (40, 40, 40), (40, 200)


def photo(width: int = 60, height: int = 44, seed: int = 0) -> Image.Image:
    """Something smooth that looks different from every side."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def decoded(path: Path, size: int = 16) -> torch.Tensor:
    return decode(Members(path.parent), path.name, size)


def by_torchvision(path: Path, size: int) -> torch.Tensor:
    """The slow twin: the same in torchvision's words."""
    from torchvision.transforms.v2 import functional as transforms

    with Image.open(path) as image:
        image.draft("RGB", (2 * size, 2 * size))
        rgb = image.convert("RGB")
    square = transforms.center_crop(rgb, [min(rgb.size)])
    return transforms.pil_to_tensor(transforms.resize(square, [size, size], antialias=True))


@pytest.mark.parametrize("shape", [(45, 60), (32, 32), (33, 32), (400, 301), (1, 1)])
@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("RGB", "png"), ("L", "png"), ("P", "png"), ("1", "png"), ("RGB", "bmp"), ("P", "gif")],
)  # fmt: skip
def test_a_plain_picture_is_what_torchvision_makes_of_it(
    tmp_path: Path, shape: tuple[int, int], mode: str, suffix: str
) -> None:
    photo(*shape).convert(mode).save(tmp_path / f"x.{suffix}")
    assert torch.equal(decoded(tmp_path / f"x.{suffix}", 32), by_torchvision(tmp_path / f"x.{suffix}", 32))


# Orientation


def turned(image: Image.Image, orientation: int, path: Path, **settings: object) -> None:
    """Saves what a camera held so would write: looked at by a viewer, it is ``image``."""
    lying = {tag: turn for tag, turn in picture.UPRIGHT.items() if tag not in (6, 8)}
    lying |= {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}  # the way back
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    raw = image.transpose(lying[orientation]) if orientation in lying else image
    raw.save(path, exif=exif, **settings)
    with Image.open(path) as made:
        shown = ImageOps.exif_transpose(made).convert("RGB")
        assert shown.size == image.size
        assert np.abs(np.asarray(shown, float) - np.asarray(image.convert("RGB"), float)).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_pictures_are_upright(tmp_path: Path, orientation: int, suffix: str) -> None:
    settings = {"quality": 100} | (
        {"subsampling": 0} if suffix == "jpg" else {"lossless": True} if suffix == "webp" else {}
    )
    turned(photo(), orientation, tmp_path / f"x.{suffix}", **(settings if suffix in ("jpg", "webp") else {}))
    photo().save(tmp_path / "control.png")
    difference = decoded(tmp_path / f"x.{suffix}").int() - decoded(tmp_path / "control.png").int()
    assert difference.abs().max() <= (6 if suffix == "jpg" else 0)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_large_photographs_are_upright_however_they_are_decoded(tmp_path: Path, orientation: int) -> None:
    """JPEG is decoded at a fraction of its size, which must not lose the orientation."""
    turned(photo(1600, 1200), orientation, tmp_path / "x.jpg", quality=95)
    photo(1600, 1200).save(tmp_path / "control.png")
    difference = decoded(tmp_path / "x.jpg").int() - decoded(tmp_path / "control.png").int()
    assert difference.abs().float().mean() < 4


@pytest.mark.parametrize("exif", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0nonsense", b"", b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0"])  # fmt: skip
def test_a_damaged_or_unknown_orientation_leaves_the_picture_as_it_lies(tmp_path: Path, exif: bytes) -> None:
    photo().save(tmp_path / "x.jpg", exif=exif, quality=95)
    photo().save(tmp_path / "control.jpg", quality=95)
    pixels, _ = decode_all(Members(tmp_path), [("x.jpg", 0), ("control.jpg", 0)], 16, "", lambda *told: None)
    assert torch.equal(pixels[0], pixels[1])


# Transparency


def drawing(mode: str, path: Path) -> None:
    """A grey disc on nothing: the colour below what is transparent is that of the disc, or black."""
    layer = Image.new("LA", (32, 32), (40, 0))
    ImageDraw.Draw(layer).ellipse((8, 8, 24, 24), fill=(40, 255))
    rgba = layer.convert("RGBA")
    if mode == "P":
        flat = Image.new("P", (32, 32), 0)
        flat.putpalette([40, 40, 40, 40, 40, 40])
        ImageDraw.Draw(flat).ellipse((8, 8, 24, 24), fill=1)
        flat.save(path, transparency=0)
    elif mode in ("L", "RGB", "1"):  # one colour stands for nothing
        key = {"L": 7, "RGB": (7, 7, 7), "1": 1}[mode]
        flat = Image.new(mode, (32, 32), key)
        ImageDraw.Draw(flat).ellipse((8, 8, 24, 24), fill={"L": 40, "RGB": GREY, "1": 0}[mode])
        flat.save(path, transparency=key)
    else:
        (layer if mode == "LA" else rgba).save(
            path, **({"lossless": True, "exact": True} if path.suffix == ".webp" else {})
        )


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGBA", "png"), ("LA", "png"), ("P", "png"), ("L", "png"), ("RGB", "png"), ("1", "png"), ("RGBA", "webp"), ("RGBA", "tif"), ("LA", "tif"), ("P", "gif")],
)  # fmt: skip
def test_what_is_transparent_is_white(tmp_path: Path, mode: str, suffix: str) -> None:
    drawing(mode, tmp_path / f"x.{suffix}")
    control = Image.new("RGB", (32, 32), "white")
    ImageDraw.Draw(control).ellipse((8, 8, 24, 24), fill=(0, 0, 0) if mode == "1" else GREY)
    control.save(tmp_path / "control.png")
    assert torch.equal(decoded(tmp_path / f"x.{suffix}"), decoded(tmp_path / "control.png"))
    (facts,) = check_all(Members(tmp_path), [(f"x.{suffix}", 0)], "", lambda *told: None)
    assert facts.transparent


def test_half_transparent_is_half_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (0, 100, 200, 128)).save(tmp_path / "x.png")
    values = decoded(tmp_path / "x.png", 8)[:, 0, 0].tolist()
    assert values == pytest.approx([127, 177, 227], abs=1)


def test_an_opaque_alpha_channel_changes_nothing(tmp_path: Path) -> None:
    photo().save(tmp_path / "x.png")
    photo().convert("RGBA").save(tmp_path / "y.png")
    assert torch.equal(decoded(tmp_path / "x.png"), decoded(tmp_path / "y.png"))


# Depth


def test_sixteen_bits_of_grey_are_cut_to_the_upper_eight(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (20, 20)).astype(np.uint16)
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "control.png")
    Image.fromarray(values).save(tmp_path / "x.png")
    Image.fromarray(values).save(tmp_path / "x.tif")
    Image.fromarray(values.astype(">u2")).save(tmp_path / "big.tif")
    (tmp_path / "x.pgm").write_bytes(b"P5 20 20 65535\n" + values.astype(">u2").tobytes())
    for name in ("x.png", "x.tif", "big.tif", "x.pgm"):
        assert torch.equal(decoded(tmp_path / name, 20), decoded(tmp_path / "control.png", 20)), name
        (facts,) = check_all(Members(tmp_path), [(name, 0)], "", lambda *told: None)
        assert facts.deep, name


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_pixels_whose_range_is_not_told_are_refused_with_what_to_do(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.ones((20, 20), dtype=kind)).save(tmp_path / "x.tif")
    samples = [("x.tif", 0)]
    for outcomes in (
        check_all(Members(tmp_path), samples, "", lambda *told: None),
        decode_all(Members(tmp_path), samples, 8, "", lambda *told: None)[1],
    ):
        assert isinstance(outcomes[0], Skipped)
        assert "save them" in outcomes[0].reason


def test_header_and_pixels_tell_the_same(tmp_path: Path) -> None:
    photo(300, 200).save(tmp_path / "a.jpg")
    drawing("LA", tmp_path / "b.png")
    Image.fromarray(np.zeros((9, 7), dtype=np.uint16)).save(tmp_path / "c.png")
    (tmp_path / "d.jpg").write_bytes(io.BytesIO(b"nothing").getvalue())
    samples = [(name, 0) for name in ("a.jpg", "b.png", "c.png", "d.jpg")]
    looked = check_all(Members(tmp_path), samples, "", lambda *told: None)
    assert looked == decode_all(Members(tmp_path), samples, 16, "", lambda *told: None)[1]
    assert [each.side for each in looked[:3]] == [200, 32, 7]
