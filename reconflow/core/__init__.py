"""The values reconflow computes with: frozen, typed, checked when made, and free of any I/O but their own formats."""
