from pools.models.daily_pops import DailyPopCount
from pools.models.daily_refusals import DailyRefusalCount
from pools.models.key_events import KeyEvent
from pools.models.key_imports import KeyImport
from pools.models.keys import Key
from pools.models.moves import Move
from pools.models.muted_pools import MutedPool
from pools.models.pending_imports import PendingImport, PendingImportPart
from pools.models.pools import Pool
from pools.models.used_texts import UsedText

__all__ = [
    "DailyPopCount",
    "DailyRefusalCount",
    "Key",
    "KeyEvent",
    "KeyImport",
    "Move",
    "MutedPool",
    "PendingImport",
    "PendingImportPart",
    "Pool",
    "UsedText",
]
