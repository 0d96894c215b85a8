"""``python -m reconflow.cli``."""

from reconflow.cli.main import command_line

if __name__ == "__main__":
    command_line()
