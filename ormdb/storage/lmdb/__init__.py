"""The engine on disk, over LMDB; nothing outside of this package knows LMDB.

engine       LmdbEngine, what the rest of ormdb sees
environment  one open file, shared within the process     sharing   which files are open
snapshots    reading        writes   writing               copies    hot copies
readers      open snapshots and their age                  turns     who may call when
opening      how LMDB is asked     pages    what is looked at before     verify   every page
reads        the tight loops                               faults    LMDB's errors in our words
"""

from ormdb.storage.lmdb.engine import LmdbEngine as LmdbEngine
from ormdb.storage.lmdb.verify import verify_file as verify_file
