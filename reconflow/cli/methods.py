"""The extractors and matchers that there are, as commands list them."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reconflow.nets.catalogue import weights_named
from reconflow.nets.registry import combinations
from reconflow.nets.weights import absence


def print_methods(console: Console) -> None:
    """Print which extractors and matchers can run here, and once for each thing that is missing how to get it."""
    found = combinations()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("combination")
    table.add_column("can run here")
    for one in found:
        lacks = f"lacks {', '.join(one.lacks)}" if one.lacks else "no"
        table.add_row(one.name, "[green]yes[/]" if one.usable else f"[dim]{lacks}[/]")
    console.print(table)
    missing = dict.fromkeys(name for one in found for name in one.lacks)
    reasons = [absence(weights_named(name)) for name in missing] or [one.reason for one in found if one.reason][:1]
    for reason in reasons:
        console.print(f"[dim]– {escape(reason)}[/]", highlight=False, soft_wrap=True)
