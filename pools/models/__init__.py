from pools.models.events import KeyEvent
from pools.models.imports import KeyImport
from pools.models.keys import Key

__all__ = ["Key", "KeyEvent", "KeyImport"]
