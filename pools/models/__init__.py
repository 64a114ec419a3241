from pools.models.days import PoolDay
from pools.models.events import KeyEvent
from pools.models.imports import KeyImport
from pools.models.keys import Key
from pools.models.uploads import KeyUpload, UploadPart
from pools.models.used_texts import UsedText

__all__ = ["Key", "KeyEvent", "KeyImport", "KeyUpload", "PoolDay", "UploadPart", "UsedText"]
