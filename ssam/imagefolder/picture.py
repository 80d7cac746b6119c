"""One picture as a network gets it: upright, on white, its centre square, resized. The race and the page before it use the same."""

import io
from contextlib import nullcontext
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from ssam.imagefolder.members import Members
from ssam.imagefolder.skipped import Kind, Unusable

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")  # others may start foreign programs
MAX_PIXELS = 64_000_000  # of one image: a camera's picture is smaller, a decompression bomb larger
LARGE_PIXELS = 8_000_000  # larger ones are decoded one after the other: each takes up to 8 bytes a pixel
HEIC_BRANDS = (b"hei", b"hev", b"mif", b"msf")  # how the brand of such a file begins
ADVICE = "cannot be read here; save them as JPEG or PNG"
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
    """What a picture's header says. ``side`` is its shorter one in pixels; ``deep`` a grey of 16 bits; ``transparent`` an alpha
    channel or a transparent colour."""

    side: int
    deep: bool
    transparent: bool


def header(members: Members, member: str) -> Facts:
    """Reads one member's header only. Raises Unusable for what is no picture that can be used, else what Pillow raises."""
    with members.open(member) as file:
        return _facts(_opened(file))


def decode(members: Members, member: str, size: int) -> tuple[Image.Image, Facts]:
    """One member as RGB of size × size pixels: turned as its EXIF orientation says, on white where it is transparent, 16 bits of
    grey cut to the upper 8, then the centre square, resized (bilinear, antialiased).

    The square is cut out before it is converted and resized, so a very long and thin image cannot grow beyond bounds. Raises
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
    """An image whose header alone has been read."""
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
        raise Unusable(Kind.FORMAT, "pixels of 32 bits, whose range is not told; save them with 8 or 16 bits")
    return image


def _unknown(head: bytes) -> Unusable:
    """What a file is that Pillow does not know, by its first bytes."""
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
    return Unusable(Kind.DAMAGED, "not images, whatever their names say")


def _facts(image: Image.Image) -> Facts:
    return Facts(min(image.size), _is_deep(image), image.has_transparency_data)


def _is_deep(image: Image.Image) -> bool:
    """Whether the pixels are greys from 0 to 65535. PPM is scaled to that by Pillow."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF orientation says: a viewer shows it so."""
    image.load()  # TIFF turns itself
    try:
        turn = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a damaged EXIF block can raise anything; viewers then show the picture as it lies
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
