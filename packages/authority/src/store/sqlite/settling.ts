import type { DatabaseSync } from 'node:sqlite'

/*
 * What is found by account lies in no order that writing could follow: kept up in each commit, its two indexes cost a
 * revocation more than all the rest. So they follow behind, as soon as nobody waits, and whoever looks by account looks
 * through what they do not have yet as well. Nothing rests on them but speed (docs/decisions/0022).
 */

export const SETTLING_SCHEMA = `
  ALTER TABLE sessions ADD COLUMN settled_seq INTEGER;
  UPDATE sessions SET settled_seq = ended_seq WHERE ended_seq IS NOT NULL;
  DROP INDEX sessions_account;
  CREATE INDEX sessions_account ON sessions (sub, settled_seq);
  CREATE INDEX sessions_unsettled ON sessions (ended_seq) WHERE ended_seq IS NOT NULL AND settled_seq IS NULL;

  DROP INDEX audit_account;
  CREATE TABLE audit_accounts (account TEXT, record INTEGER, PRIMARY KEY (account, record)) STRICT, WITHOUT ROWID;
  INSERT INTO audit_accounts SELECT sub, n FROM audit WHERE sub IS NOT NULL;
  CREATE TABLE settled (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL) STRICT;
  INSERT INTO settled SELECT 1, coalesce(max(n), 0) FROM audit;
`

/** Settles all there is at once, for a store that was filled from somewhere else. */
export const SETTLE_ALL = `
  UPDATE sessions SET settled_seq = ended_seq WHERE ended_seq IS NOT NULL;
  DELETE FROM audit_accounts;
  INSERT INTO audit_accounts SELECT sub, n FROM audit WHERE sub IS NOT NULL ORDER BY sub, n;
  UPDATE settled SET n = (SELECT coalesce(max(n), 0) FROM audit);
`

/** @param head the number of the newest audit record */
export function openSettling(db: DatabaseSync, head: () => number) {
  const place = db.prepare('SELECT n FROM settled')
  const moveTo = db.prepare('UPDATE settled SET n = ?')
  const records = db.prepare(
    `INSERT OR IGNORE INTO audit_accounts
     SELECT sub, n FROM audit WHERE n > ? AND n <= ? AND sub IS NOT NULL ORDER BY sub, n`,
  )
  const sessions = db.prepare(
    `UPDATE sessions SET settled_seq = ended_seq WHERE rowid IN (SELECT rowid FROM sessions
     WHERE ended_seq IS NOT NULL AND settled_seq IS NULL ORDER BY ended_seq LIMIT ?)`,
  )
  const settledUpTo = () => (place.get() as { n: number }).n
  return {
    /** The newest audit record that is found by its account through the index. */
    settledUpTo,
    unsettled: () => head() - settledUpTo(),
    /** Settles some of what is oldest, inside the open transaction; whether there is more. */
    settle(limit: number): boolean {
      const from = settledUpTo()
      const to = Math.min(from + limit, head())
      records.run(from, to)
      if (to > from) moveTo.run(to)
      return Number(sessions.run(limit).changes) === limit || to < head()
    },
  }
}
