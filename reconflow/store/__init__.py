"""Where results live: content keys, packs of arrays in Zarr, and the folder of a run."""
