"""The command line. Each command's file parses, calls the library and prints; none holds logic of its own."""

from reconflow.cli.main import command_line, main

__all__ = ["command_line", "main"]
