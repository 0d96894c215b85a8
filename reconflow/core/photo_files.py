"""Files of photos, opened by Pillow within a limit of ours."""

import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from reconflow.config import MOST_MEGAPIXELS
from reconflow.core.images import IMAGE_FORMATS
from reconflow.errors import InputError


@contextmanager
def opened_photo(path: Path, *, max_megapixels: float = MOST_MEGAPIXELS) -> Generator[Image.Image]:
    """Open a photo, of which no more than the header has been read when its size is judged.

    Pillow's own limit gives way to ``max_megapixels`` until the block ends, so the photo must be decoded within it.

    Raises
    ------
    InputError
        If the file is not an image, cannot be read, or has more pixels than that.

    """
    with _LIMIT.raised_to(round(max_megapixels * 1e6)), _opened(path, max_megapixels) as image:
        yield image


def _opened(path: Path, max_megapixels: float) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a broken EXIF block is judged by whoever reads it, a large size below
            image = Image.open(path, formats=IMAGE_FORMATS)
    except UnidentifiedImageError as error:
        raise InputError("is not an image", item=str(path)) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"is over {max_megapixels:g} megapixels", item=str(path)) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"cannot be read: {error}", item=str(path)) from error
    width, height = image.size
    if width * height > max_megapixels * 1e6:
        image.close()
        raise InputError(f"{width} × {height} is over {max_megapixels:g} megapixels", item=str(path))
    return image


class _Limit:
    """Pillow's limit, one number for a process, shared by all threads that have a photo open.

    It is the largest of theirs meanwhile, and afterwards what it was before. Pillow refuses twice as many pixels, some
    formats before they take memory for them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: list[int] = []
        self._before: int | None = None

    @contextmanager
    def raised_to(self, pixels: int) -> Generator[None]:
        with self._lock:
            if not self._open:
                self._before = Image.MAX_IMAGE_PIXELS
            self._open.append(pixels)
            Image.MAX_IMAGE_PIXELS = max(self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(pixels)
                Image.MAX_IMAGE_PIXELS = max(self._open) if self._open else self._before


_LIMIT = _Limit()
