"""Files in and out: what is in them becomes a schema and rows, and nothing is lost on the way.

    flights.db ─┐   plan            ImportPlan           run
    *.csv      ─┼─▶ look at all  ─▶ bundle, tables,   ─▶ one new database file,
    *.jsonl    ─┘   of the data     dangling, notes      or none

cells           values as the text of one cell, and as JSON
plan            ImportPlan: what would be imported; which types, keys and relations it will have
naming          names of entities, fields and relations; many-to-many over link tables
sqlite_schema   the tables of a SQLite file, as SQLite describes them
sqlite_types    which type holds every value of a column exactly
sqlite_links    foreign keys as relations, and which of them dangle
sqlite          plan_sqlite
infer           which type every cell of a CSV or JSONL column has
files           plan_files
run             run_import
"""
