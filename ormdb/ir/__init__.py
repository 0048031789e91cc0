"""The vocabulary of every floor: values, expressions, schemas, queries, mutations, results.

Nodes are frozen, slotted, keyword-only dataclasses built from tuples.  They hold names, never
engine objects, do no work and no I/O; `canonical` gives each of them stable bytes and a signature.
"""
