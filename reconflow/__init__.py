"""reconflow: photos in, posed cameras and point clouds out."""

__version__ = "0.1.0"
