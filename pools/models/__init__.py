from pools.models.daily_pops import DailyPopCount
from pools.models.key_events import KeyEvent
from pools.models.key_imports import KeyImport
from pools.models.keys import Key
from pools.models.pending_imports import PendingImport, PendingImportPart
from pools.models.used_texts import UsedText

__all__ = ["Key", "KeyEvent", "KeyImport", "PendingImport", "DailyPopCount", "PendingImportPart", "UsedText"]
