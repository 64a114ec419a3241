"""Options of commands that say how files of keys are read: the same for all, because errors about files name them."""

from argparse import BooleanOptionalAction
from collections.abc import Mapping
from typing import Any

from keygen_site.management.options import name
from pools.key_files import FORMATS, ReadOptions, UsedRows

READ_OPTIONS = ("format", "encoding", "delimiter", "header", "column", "trim")


def add_read_options(parser: Any) -> None:
    """Add READ_OPTIONS to a parser, or to a group of its options."""
    parser.add_argument("--format", choices=FORMATS, help="format of all files (default: by their content)")
    parser.add_argument(
        "--encoding",
        type=name,
        help="encoding of all files, e.g. windows-1252 (default: UTF-8, UTF-16 and UTF-32 are found out)",
    )
    parser.add_argument(
        "--delimiter",
        type=name,
        help="character between the columns: comma, semicolon, tab or pipe (default: it is found out)",
    )
    parser.add_argument(
        "--header",
        action=BooleanOptionalAction,
        help="the first row has the names of the columns, or has not (default: it is found out)",
    )
    parser.add_argument("--column", type=name, help="column or member with the keys: its name, or its number from 1")
    parser.add_argument("--trim", action="store_true", help="remove blanks around each key")


def read_options(options: Mapping[str, Any], used_rows: UsedRows) -> ReadOptions:
    """The options for reading files, from the options of a command."""
    return ReadOptions(**{each: options[each] for each in READ_OPTIONS}, used_rows=used_rows)
