"""A small zip of drawings in two classes, as a user would upload it."""

import io
import zipfile

from PIL import Image, ImageDraw


def drawing(side: int, number: int, shape: str) -> bytes:
    image = Image.new("RGB", (side, side + 3), (number % 200, 90, 200))
    draw = ImageDraw.Draw(image)
    (draw.ellipse if shape == "disc" else draw.rectangle)((2, 2, side - 3, side - 3), fill=(250, 250, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def pets(side: int = 20, discs: int = 15, more: dict[str, bytes] | None = None) -> bytes:
    """A zip with ``discs`` images of class disc and 5 of class square."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, count in (("disc", discs), ("square", 5)):
            for number in range(count):
                archive.writestr(f"{name}/{number}.png", drawing(side, number, name))
        for name, data in (more or {}).items():
            archive.writestr(name, data)
    return packed.getvalue()
