"""Schemas kept in a store: validated as a whole, numbered, versioned, compared in words.

    declared bundle ── validate ── normalize ── reconcile with the newest stored one
                                                   │  equal: nothing to do
                                                   │  touches no row: store_bundle, a new version
                                                   └  touches rows: SchemaChangeError with the diff

declared    a bundle as its author wrote it: literals in form, numbers off, hash
validate    every mistake at once
assign      numbers that are never used again
diff        what changed, in words, and what may simply be applied
text        a bundle as readable text and back; mermaid draws it
registry    bundles in the catalog space, version by version
"""
