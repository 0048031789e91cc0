"""Ordered bytes with snapshots, and on top of them: keys, rows, versions, indexes, the log.

engine      the protocol: batches in, batches out; nothing above this package names an engine
lmdb        the engine on disk         memory      the same semantics in memory
keys        values to bytes in order   records     rows to bytes and back
spaces      which spaces a schema has  store       one database: head, spaces, read and write views
versions    what a commit writes, and what a reader at an older version sees
reclaim     drop versions that retention no longer keeps
check       every invariant of a file, verified
"""
