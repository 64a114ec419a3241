"""Reading and writing files of keys, in flat memory."""

from keygen_site.spreadsheets import defuse_formula
from pools.key_files.encodings import ENCODINGS
from pools.key_files.errors import Candidate, ColumnAmbiguous, FileTooLarge, FileUnreadable, HeaderAmbiguous, NoKeys
from pools.key_files.key_texts import escape_text, find_text_fault, fold_spelling
from pools.key_files.lines import Line, Reason
from pools.key_files.options import DELIMITERS, FORMATS, ReadOptions, UsedRows
from pools.key_files.reading import KeyFile, open_key_file
from pools.key_files.understood import Understood
from pools.key_files.writing import WRITTEN_FORMATS, ExportedKey, serialize_keys

__all__ = [
    "DELIMITERS",
    "FORMATS",
    "WRITTEN_FORMATS",
    "ENCODINGS",
    "Candidate",
    "ColumnAmbiguous",
    "ExportedKey",
    "FileTooLarge",
    "FileUnreadable",
    "HeaderAmbiguous",
    "KeyFile",
    "Line",
    "NoKeys",
    "ReadOptions",
    "Reason",
    "Understood",
    "UsedRows",
    "defuse_formula",
    "escape_text",
    "find_text_fault",
    "fold_spelling",
    "open_key_file",
    "serialize_keys",
]
