"""Writing: mutations become rows that keep every constraint, one commit at a time.

rows          row dicts to checked rows: types, defaults, required, computed fields
constraints   identities, uniques, foreign keys and checks, probed a batch at a time
apply         one mutation after the other onto an open commit
tools         what statements of one schema version are made with, compiled once
draws         numbers, random bytes and the time, the same when a statement runs again
commit        CommitRequest, the Committer, and the commit it holds open
reads         what a transaction has read, and whether it still holds
"""
