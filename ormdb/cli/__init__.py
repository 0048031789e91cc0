"""The command line: `ormdb import`, `schema`, `get`, `fetch`, `explain`, `check`, and upkeep.

    ormdb import northwind.sqlite northwind.ormdb
    ormdb fetch northwind.ormdb Customer --where 'country == "DE"' --include Orders:3

app         the commands together, and what happens when one is refused
console     what may be printed: nothing that steers a terminal
tables      rows as a table, graphs as a tree
importing   import                    describing   schema
reading     get, fetch                upkeep       check, stats, analyze, backup, restore, compact
explaining  explain                   query_args   fetch's arguments as a query
"""

from ormdb.cli.app import main as main
