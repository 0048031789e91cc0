"""The commands together, and the edge at which everything that was refused becomes one sentence.

    $ ormdb get flights.ormdb Airport QQQ
    error: Airport has no row with faa = 'QQQ'
    $ echo $?
    1

exit code   0 done     1 refused, or a check found problems     2 the command itself is wrong
            70 a mistake of ormdb's own     130 interrupted

With ORMDB_TRACEBACK=1 in the environment an error also shows where in the code it was raised.

Invariants (held by tests/unit/cli/test_app.py):
  1. Whatever a command raises, standard error gets one sentence and no traceback.
  2. A reader of the output that goes away ends the command silently.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

import click

import ormdb
from ormdb.cli.console import safe
from ormdb.cli.describing import schema
from ormdb.cli.explaining import explain
from ormdb.cli.importing import import_
from ormdb.cli.reading import fetch, get
from ormdb.cli.tabling import table
from ormdb.cli.upkeep import analyze, archive, backup, check, compact, restore, stats
from ormdb.errors import OrmdbError, SchemaChangeError, SchemaError


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(ormdb.__version__, prog_name="ormdb")
@click.pass_context
def commands(context: click.Context) -> None:
    """An embedded database that answers graph fetches."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


_READING = (import_, schema, get, fetch, table, explain)
_UPKEEP = (check, stats, analyze, backup, archive, restore, compact)
for _command in (*_READING, *_UPKEEP):
    commands.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot spell it
    try:
        # Outside of standalone mode click raises what it would print, and returns exit codes.
        code = commands.main(
            None if arguments is None else list(arguments),
            prog_name="ormdb",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads on; without this, closing the stream at exit would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, click.Abort):
        return _refuse("interrupted", 130)
    except click.ClickException as error:
        return _refuse(_usage_sentence(error), error.exit_code)
    except OrmdbError as error:
        return _refuse(_sentence(error), 1)
    except OSError as error:
        return _refuse(f"{error.filename or 'a file'}: {error.strerror or error}", 1)
    except Exception as error:  # noqa: BLE001  the edge: nobody is above to handle it
        kind = type(error).__name__
        return _refuse(
            f"a mistake of ormdb's own ({kind}: {error}); run again with ORMDB_TRACEBACK=1 and "
            "report it",
            70,
        )
    return code if isinstance(code, int) else 0


def _refuse(sentence: str, code: int) -> int:
    lines = [safe(line) for line in sentence.split("\n")]
    click.echo("error: " + "\n".join(lines), err=True)
    if os.environ.get("ORMDB_TRACEBACK") == "1":
        traceback.print_exc()
    return code


def _sentence(error: OrmdbError) -> str:
    """A schema's mistakes come as a list; every other error is one line."""
    if isinstance(error, SchemaError | SchemaChangeError):
        return error.message
    return error.message.replace("\n", "\\n")


def _usage_sentence(error: click.ClickException) -> str:
    message = error.format_message().replace("\n", " ").rstrip(".")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message}; see {error.ctx.command_path} --help"
    return message
