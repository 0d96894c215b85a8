"""Between points in a camera's frame and its pixels, distortion included."""

import numpy as np

from reconflow.core.arrays import Array
from reconflow.core.cameras import CAMERA_PARAMETERS, Camera

_STEPS = 100
"""Bound of the iterations that undo a distortion; mild lenses need about ten."""


def project(camera: Camera, points_in_camera: Array) -> Array:
    """Return the (N, 2) float64 pixels of (N, 3) points in camera frame.

    Points behind the camera, and points so far off the axis that the distortion folds over, have no pixel: their row
    is NaN.
    """
    points = np.asarray(points_in_camera, np.float64)
    depth = points[:, 2]
    ahead = depth > 1e-9
    plane = np.full((len(points), 2), np.nan)
    plane[ahead] = points[ahead, :2] / depth[ahead, None]
    values = _parameters(camera)
    bent = _bend(camera.model, values, plane)
    # Undoing a distortion finds its inner branch: a point that does not come back was on the folded outer one.
    with np.errstate(invalid="ignore", over="ignore"):
        folded = ~(np.abs(_straighten(camera.model, values, bent) - plane) < 1e-6 * (1 + np.abs(plane))).all(axis=1)
    bent[folded] = np.nan
    return bent * [values["fx"], values["fy"]] + [values["cx"], values["cy"]]


def rays(camera: Camera, pixels: Array) -> Array:
    """Return (N, 3) float64 directions in camera frame, with z = 1, that project to (N, 2) pixels."""
    values = _parameters(camera)
    bent = (np.asarray(pixels, np.float64) - [values["cx"], values["cy"]]) / [values["fx"], values["fy"]]
    return np.column_stack([_straighten(camera.model, values, bent), np.ones(len(bent))])


def calibration_matrix(camera: Camera) -> Array:
    """Return K, (3, 3): pixels of an undistorted ray."""
    values = _parameters(camera)
    return np.array([[values["fx"], 0, values["cx"]], [0, values["fy"], values["cy"]], [0, 0, 1.0]])


def _parameters(camera: Camera) -> dict[str, float]:
    """Return the parameters under the names of COLMAP's widest model, zero where the camera has none."""
    values: dict[str, float] = dict.fromkeys(("k1", "k2", "k3", "k4", "p1", "p2"), 0.0)
    for name, value in zip(CAMERA_PARAMETERS[camera.model], camera.params, strict=True):
        if name == "f":
            values["fx"] = values["fy"] = value
        else:
            values["k1" if name == "k" else name] = value
    return values


def _bend(model: str, values: dict[str, float], plane: Array) -> Array:
    """Apply a distortion to (N, 2) coordinates on the plane z = 1."""
    if model == "OPENCV_FISHEYE":
        radius = np.linalg.norm(plane, axis=1, keepdims=True)
        angle = np.arctan(radius)
        return plane * np.where(radius > 1e-12, _fisheye(values, angle)[0] / np.maximum(radius, 1e-12), 1.0)
    radial, tangential = _brown(values, plane)
    return plane * radial + tangential


def _straighten(model: str, values: dict[str, float], bent: Array) -> Array:
    """Undo :func:`_bend`: Newton's method for a fisheye, a fixed point for the other, milder lenses."""
    if model == "OPENCV_FISHEYE":
        radius = np.linalg.norm(bent, axis=1, keepdims=True)
        angle = radius.copy()
        for _ in range(_STEPS):
            value, slope = _fisheye(values, angle)
            step = (value - radius) / np.where(np.abs(slope) > 1e-9, slope, 1.0)
            angle = np.clip(angle - step, 0.0, 1.55)
        return bent * np.where(radius > 1e-12, np.tan(angle) / np.maximum(radius, 1e-12), 1.0)
    plane = bent.copy()
    if not any(values[name] for name in ("k1", "k2", "p1", "p2")):
        return plane
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):
            radial, tangential = _brown(values, plane)
            before, plane = plane, (bent - tangential) / radial
            if np.nanmax(np.abs(plane - before), initial=0.0) < 1e-14:
                break
    return plane


def _brown(values: dict[str, float], plane: Array) -> tuple[Array, Array]:
    """Return the radial factor (N, 1) and the tangential shift (N, 2) of Brown's model, as OpenCV writes it."""
    x, y = plane[:, :1], plane[:, 1:]
    square = x * x + y * y
    p1, p2 = values["p1"], values["p2"]
    shift = np.hstack([2 * p1 * x * y + p2 * (square + 2 * x * x), p1 * (square + 2 * y * y) + 2 * p2 * x * y])
    return 1 + square * (values["k1"] + square * values["k2"]), shift


def _fisheye(values: dict[str, float], angle: Array) -> tuple[Array, Array]:
    """Return the image radius of an angle off the axis, and its derivative."""
    square = angle * angle
    k1, k2, k3, k4 = (values[name] for name in ("k1", "k2", "k3", "k4"))
    value = angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))
    slope = 1 + square * (3 * k1 + square * (5 * k2 + square * (7 * k3 + square * 9 * k4)))
    return value, slope
