"""The command's own process begins here: what it loads, it loads light; then cli.py does the rest."""

import gc

from . import light

gc.disable()  # while all is loaded: modules live as long as the process, and searching them again and again finds nothing
light.load()

from .cli import main as command  # noqa: E402 - what it loads is to be loaded light


def main() -> None:
    """The console entry."""
    gc.freeze()
    gc.enable()
    command()
