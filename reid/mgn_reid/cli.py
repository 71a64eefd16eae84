"""The command line of the networks: their data, training, evaluation and matching.

Each command is a module of `mgn_reid.commands`, imported when it is called.
"""

from __future__ import annotations

from importlib import import_module

import click

from mgn_convert.cli_options import ErrorGroup

COMMANDS = ("cluster", "evaluate", "extract", "make-dataset", "models", "rank", "train")


class _Lazy(ErrorGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        found: click.Command = import_module(f"mgn_reid.commands.{name.replace('-', '_')}").command
        return found


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mgn-convert")
def main() -> None:
    """Person re-identification networks: train them, score them, match people with them.

    Exit codes: 0 pass, 1 failed, 2 usage, 3 unsupported model, 4 unreadable file, 5 missing engine.
    """


if __name__ == "__main__":
    main()
