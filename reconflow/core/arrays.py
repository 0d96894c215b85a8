"""Checks that an array arriving in a value has the shape and dtype its name promises."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def checked(name: str, array: Any, shape: tuple[int | str, ...], dtype: Any) -> Array:
    """Return ``array`` as a read-only C-contiguous array of ``dtype``, or raise naming what was expected.

    A letter in ``shape`` stands for any length; floating arrays are widened but never narrowed silently: a value
    that needs float32 takes float16 or float32, and float64 is converted because callers asked for it by name.

    >>> checked("points", np.zeros((4096, 3)), ("N", 2), np.float32)
    Traceback (most recent call last):
        ...
    ValueError: points must be (N, 2), got (4096, 3)
    """
    array = np.ascontiguousarray(array)
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must be ({_joined(shape)}), got ({_joined(array.shape)})")
    if array.dtype != dtype:
        if array.dtype.kind == "f" and np.dtype(dtype).kind in "iu":
            raise ValueError(f"{name} must hold integers ({np.dtype(dtype)}), got {array.dtype}")
        array = array.astype(dtype)
    view = array.view()
    view.flags.writeable = False
    return view


def _joined(shape: tuple[int | str, ...]) -> str:
    return ", ".join(str(part) for part in shape) + ("," if len(shape) == 1 else "")
