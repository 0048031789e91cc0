"""What programs that test themselves against ormdb may use.

queries             `assert_max_queries`: a bound for the queries of a block
pytest_plugin       fixtures: a database for each test, fresh or rolled back
factories           rows for tests: what a test does not say is filled in
counting            an engine that counts its calls and the keys they touch
history, checker    what transactions did and saw, and whether that was strictly serializable
scheduler           transactions that take turns in one thread, in an order drawn from a seed
faults              an engine whose calls fail when it is told to
playground          a schema where transactions can go wrong, and steps over it that are recorded
workloads           … scripts of such steps: in turns, in threads, in processes
mutants             mistakes of an engine of transactions, to be switched on: are they noticed?
strategies          Hypothesis strategies for values, types, expressions and other nodes of `ir`
schema_strategies   Hypothesis strategies for whole schemas that pass validation
crash_explorer      what a loss of power may leave of a database, state by state
  crash_trace       … what a process writes, seen by strace
  crash_states      … what a disk may hold of it
  crash_child       … the processes that may die

Hypothesis is an extra, so this package imports no strategies by itself.
"""

from ormdb.testing.queries import assert_max_queries

__all__ = ["assert_max_queries"]
