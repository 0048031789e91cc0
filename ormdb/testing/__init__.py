"""What programs that test themselves against ormdb may use.

counting            an engine that counts its calls and the keys they touch
strategies          Hypothesis strategies for values, types, expressions and other nodes of `ir`
schema_strategies   Hypothesis strategies for whole schemas that pass validation

Hypothesis is an extra, so this package imports neither of the last two by itself.
"""
