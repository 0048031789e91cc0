"""The embedded database: the one place that wires the floors together.

    open_database ─▶ Database ─┬─ fetch, get, insert …   one statement, one snapshot or commit
                               ├─ snapshot()             many reads of one commit
                               ├─ transaction()          many statements, one commit
                               ├─ bulk_load()            many rows, one commit
                               └─ check, backup, compact, statistics

opening       files and schemas: what open() does, step by step
database      Database
reading       one snapshot and the queries that run on it
writing       Transaction
observing     queries on their way past whoever watches
observing     queries on their way past whoever watches
loading       bulk load
maintenance   check, backup, restore, compact, reclaim
"""
