"""One picture as network input: upright, on white, centre square, resized. The race and the preview use the same code."""

import io
from contextlib import nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ssam.imagefolder.members import Members
from ssam.imagefolder.skipped import Kind, Unusable

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # others may start external programs
MAX_PIXELS = 64_000_000  # pixels of an image: a camera's picture has fewer, a decompression bomb more
LARGE_PIXELS = 8_000_000  # larger ones are decoded one after the other: each takes up to 8 bytes per pixel
HEIC_BRANDS = (b"hei", b"hev", b"mif", b"msf")  # prefix of such a file's brand
ADVICE = "are not supported; save them as JPEG or PNG"
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by the EXIF orientation


@dataclass(frozen=True)
class Facts:
    """A picture's header. ``side`` is its shorter side in pixels; ``deep`` a grey of 16 bits; ``transparent`` an alpha
    channel or a transparent colour."""

    side: int
    deep: bool
    transparent: bool


def header(members: Members, member: str) -> Facts:
    """Read only a member's header. Raise Unusable if it is not a usable picture, else what Pillow raises."""
    with members.open(member) as file:
        return _facts(_opened(file))


def decode(members: Members, member: str, size: int) -> tuple[Image.Image, Facts]:
    """Read a member as RGB of size × size pixels: rotated by its EXIF orientation, transparency on white, 16-bit grey reduced to
    the upper 8 bits, then the centre square, resized (bilinear, antialiased).

    The square is cropped before it is converted and resized, so that a very long and thin image cannot exceed bounds. Raise
    Unusable, or whatever Pillow raises for damaged files.
    """
    with members.open(member) as file:
        image = _opened(io.BytesIO(file.read()))
    facts = _facts(image)
    image.draft("RGB", (2 * size, 2 * size))  # lets JPEG decode at a fraction of its size, but not below this
    with members.large if image.width * image.height > LARGE_PIXELS else nullcontext():
        square = _rgb(_centre(_upright(image)), facts.deep)
        del image
        return square if square.size == (size, size) else square.resize((size, size), Image.Resampling.BILINEAR), facts


def _opened(file: BinaryIO) -> Image.Image:
    """Open an image, reading only its header."""
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise _unknown(file.read(64)) from None
    except Image.DecompressionBombError:
        raise Unusable(Kind.FORMAT, f"more than {MAX_PIXELS // 10**6} million pixels") from None
    if image.width * image.height > MAX_PIXELS:
        raise Unusable(Kind.FORMAT, f"more than {MAX_PIXELS // 10**6} million pixels")
    if image.mode in ("I", "F") and not _is_deep(image):
        raise Unusable(Kind.FORMAT, "pixels of 32 bits with an unknown range; save them with 8 or 16 bits")
    return image


def _unknown(head: bytes) -> Unusable:
    """Return the kind of a file unknown to Pillow, by its first bytes."""
    if not head:
        return Unusable(Kind.DAMAGED, "empty files")
    if head[4:8] == b"ftyp" and b"avif" in head[8:]:
        return Unusable(Kind.FORMAT, f"AVIF pictures {ADVICE}")
    if head[4:8] == b"ftyp" and head[8:11] in HEIC_BRANDS:
        return Unusable(Kind.FORMAT, f"HEIC pictures {ADVICE}")
    if head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return Unusable(Kind.FORMAT, f"JPEG XL pictures {ADVICE}")
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return Unusable(Kind.DAMAGED, "web pages, not images")
    return Unusable(Kind.DAMAGED, "not images, despite their names")


def _facts(image: Image.Image) -> Facts:
    return Facts(min(image.size), _is_deep(image), image.has_transparency_data)


def _is_deep(image: Image.Image) -> bool:
    """Return whether the pixels are greys from 0 to 65535. Pillow scales PPM to that."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _upright(image: Image.Image) -> Image.Image:
    """Return the image rotated by its EXIF orientation, as viewers show it."""
    image.load()  # TIFF is rotated already
    try:
        turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block can raise anything; viewers then show the picture unrotated
        return image
    return image.transpose(turn) if turn is not None else image


def _centre(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = round((image.width - side) / 2), round((image.height - side) / 2)
    return image if image.width == image.height else image.crop((left, top, left + side, top + side))


def _rgb(image: Image.Image, deep: bool) -> Image.Image:
    if deep:
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layers = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(layers, mask=layers.getchannel("A"))
    return white
