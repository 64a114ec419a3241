from pools.models.days import PoolDay
from pools.models.events import KeyEvent
from pools.models.imports import KeyImport
from pools.models.keys import Key
from pools.models.uploads import KeyUpload, UploadPart

__all__ = ["Key", "KeyEvent", "KeyImport", "KeyUpload", "PoolDay", "UploadPart"]
