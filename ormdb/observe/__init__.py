"""Who watches the queries of a database: a log, a bound for slow ones, repeats of one shape.

    run_fetch ── observer.is_watching()? ──no──▶ fetch
                        │ yes
                        ▼
    watch(call) ─▶ fetch ─▶ end(call, cost) ─▶ DEBUG record, WARNING if slow
         │
         └─▶ listeners (assert_max_queries), RepeatDetector ─▶ WARNING: N+1

calls      what is watched: one fetch, get, count or exists, and what it cost
sites      the line of the program that asked
repeats    the same shape from the same line, many times in a short while
observer   all of it together, one for each open database

Nothing here knows queries or plans: a call describes itself when it is asked to.
"""
