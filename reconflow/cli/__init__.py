"""The command line. Each command's file parses, calls the library and prints; none holds logic of its own."""

from reconflow.cli.main import main

__all__ = ["main"]
