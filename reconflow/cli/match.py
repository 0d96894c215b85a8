"""``reconflow match A.jpg B.jpg --with EXTRACTOR+MATCHER``: two photos, to try combinations out."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from reconflow.cli.methods import print_methods
from reconflow.config import load_config
from reconflow.errors import InputError, OutputError
from reconflow.presets import PRESETS

_EPILOG = """\
examples:
  reconflow match a.jpg b.jpg
  reconflow match a.jpg b.jpg --with aliked-n16rot+mnn --plot matches.png
  reconflow match a.jpg b.jpg --with sift+adalam,xfeat+lighterglue     both together
  reconflow match --list

exit codes: 0 a common scene, 1 none, 2 bad input"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "match",
        help="match two photos and show what they have in common",
        description="Match two photos with any extractor and matcher, and draw what they have in common. Networks see "
        "the second one in quarter turns too where the two do not match upright.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", type=Path, nargs="*", metavar="PHOTO", help="two photos")
    parser.add_argument(
        "--with",
        dest="combination",
        metavar="EXTRACTOR+MATCHER",
        help="which features and which matcher, several separated by commas (default: those of --preset and --set, "
        "else sift+adalam)",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a picture, such as matches.png")
    parser.add_argument("--list", action="store_true", help="list what there is and whether it can run here")
    parser.add_argument("--preset", choices=list(PRESETS), default="default", help="where settings start from")
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.OPTION=VALUE", dest="overrides", help="change a setting"
    )
    parser.set_defaults(command=execute)
    return parser


def execute(arguments: argparse.Namespace) -> int:
    """Match, print, draw; 1 where the photos show no common scene."""
    console = Console()
    if arguments.list:
        print_methods(console)
        return 0
    if len(arguments.photos) != 2:
        raise InputError(f"match takes two photos, got {len(arguments.photos)}")
    from reconflow.pipeline.two_photos import match_photos

    config = load_config(preset=arguments.preset, overrides=arguments.overrides)
    if arguments.plot:
        _check_picture(arguments.plot)
    first, second = arguments.photos
    found = match_photos(first, second, arguments.combination, config=config)
    console.print(str(found), highlight=False, markup=False, soft_wrap=True)
    if arguments.plot:
        try:
            found.plot().save(arguments.plot)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise OutputError(f"cannot write {arguments.plot}: {why}") from error
        console.print(f"Picture: [bold]{escape(str(arguments.plot))}[/]", highlight=False, soft_wrap=True)
    return int(bool(found.reason))


def _check_picture(path: Path) -> None:
    """Refuse what no picture can be written to before any work is done for it."""
    from PIL import Image

    if Image.registered_extensions().get(path.suffix.lower()) not in Image.SAVE:
        raise InputError(f"cannot write {path}: name it as a picture, such as matches.png")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"cannot write {path}: {path.absolute().parent} is no folder")
