"""Graph fetches: from a query to a plan, from a plan to an answer.

    GraphQuery ─ shape ─▶ plan cache ─(miss)─▶ resolve ─▶ access ─▶ compile ─▶ NodePlan tree
                                                                                  │
    Answer ◀─ assemble ◀─ execute, level by level under one view and one budget ──┘

shape      a query without its literals, and the literals apart
resolve    names to layouts; every mistake of a query is found here
convert    literals beside fields to stored values
access     which way to the roots: identity, unique, index, relation, scan
plan       the physical nodes
hops       how many engine calls a plan takes
compile    resolved nodes to physical nodes with their generated functions
answer_source  the generated functions that turn rows into dicts and columns
cache      plans by shape and schema version
follow     from rows to the rows their relations lead to, a level at a time
join_plan  ways to the children of many parents besides looking them up
hash_join  children gathered by such a way and hashed, where that costs less
roots      the access path of the roots, walked
sieve      which rows of a level stay, and in which order
node_page  where a page begins, of the roots or of each parent's children
root_page  the roots of a page
child_pages  the page of each parent's children
execute    roots, then each include once for all parents
order      sorting, keyset cursors
trace      what one run took, level by level
explain    how a fetch is answered, told from its plan
words      a query without its values, for people
budget     what one fetch may touch
assemble   levels to dicts and blocks
fetch      a fetch from beginning to end
get        one row by its identity, without a plan
"""
