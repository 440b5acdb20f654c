import pg from 'pg'

const TABLE = `CREATE TABLE IF NOT EXISTS oidc_payloads (
  model text NOT NULL, id text NOT NULL, payload text NOT NULL, grant_id text, consumed bigint,
  PRIMARY KEY (model, id));
  CREATE INDEX IF NOT EXISTS oidc_grants ON oidc_payloads (grant_id) WHERE grant_id IS NOT NULL`

/** One statement for each call, prepared, committed by itself: an adapter has no transactions. */
export async function onPostgres(connectionString) {
  const pool = new pg.Pool({ connectionString, max: 20 })
  await pool.query(TABLE)
  const query = (name, text, values) => pool.query({ name, text, values })
  /** Rows that are held back while many are made. */
  let held
  const revoking = new Map()

  function adapter(model) {
    return {
      async upsert(id, payload) {
        const row = [model, id, JSON.stringify(payload), payload.grantId ?? null]
        if (held) return void held.push(row)
        await query(
          'upsert',
          `INSERT INTO oidc_payloads (model, id, payload, grant_id) VALUES ($1, $2, $3, $4)
           ON CONFLICT (model, id) DO UPDATE SET payload = EXCLUDED.payload, grant_id = EXCLUDED.grant_id`,
          row,
        )
      },
      async find(id) {
        const text = 'SELECT payload, consumed FROM oidc_payloads WHERE model = $1 AND id = $2'
        const { rows } = await query('find', text, [model, id])
        if (rows.length === 0) return undefined
        const [{ payload, consumed }] = rows
        return consumed === null
          ? JSON.parse(payload)
          : { ...JSON.parse(payload), consumed: Number(consumed) }
      },
      async consume(id) {
        const text = 'UPDATE oidc_payloads SET consumed = $3 WHERE model = $1 AND id = $2'
        await query('consume', text, [model, id, Math.floor(Date.now() / 1000)])
      },
      async destroy(id) {
        await query('destroy', 'DELETE FROM oidc_payloads WHERE model = $1 AND id = $2', [model, id])
      },
      /** The library asks once for each model at the same time: one statement does for all of them. */
      revokeByGrantId(grantId) {
        const running = revoking.get(grantId)
        if (running) return running
        const text = 'DELETE FROM oidc_payloads WHERE grant_id = $1'
        const done = query('revoke', text, [grantId]).finally(() => revoking.delete(grantId))
        revoking.set(grantId, done)
        return done
      },
    }
  }

  async function together(work) {
    held = []
    try {
      const made = await work()
      for (let n = 0; n < held.length; n += 3_000) {
        const some = held.slice(n, n + 3_000)
        const columns = [0, 1, 2, 3].map((column) => some.map((row) => row[column]))
        await pool.query(
          `INSERT INTO oidc_payloads (model, id, payload, grant_id)
           SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])`,
          columns,
        )
      }
      // So that the planner knows how many there are.
      await pool.query('ANALYZE oidc_payloads')
      return made
    } finally {
      held = undefined
    }
  }
  return { adapter, together }
}
