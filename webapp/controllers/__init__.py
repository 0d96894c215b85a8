"""One file per resource. A handler parses, calls and returns."""
