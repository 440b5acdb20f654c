import { tmpdir } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { readConfig } from '../../packages/authority/src/config.ts'
import { TABLES, type Table } from '../../packages/authority/src/store/moving.ts'
import { openDatabaseLoader } from '../../packages/authority/src/store/postgres/move.ts'
import { openPostgresStore } from '../../packages/authority/src/store/postgres/postgres.ts'
import { startPostgres } from '../../test/postgres.ts'
import { summary } from '../measure.ts'
import { cpuOfAll } from '../postgres.ts'
import type { Row } from '../results.ts'
import { makeLog } from './log.ts'

/*
 * What it takes that an authority hears of revocations that others have committed: it reads the log in PostgreSQL. A log
 * that is there already is read through as an authority does that was away.
 */

const RUNS = 3

export type Followed = { rows: Row[]; database: number; authority: number }

export async function follow(count: number, say: (what: string) => void): Promise<Followed> {
  say('following the log in PostgreSQL')
  const server = await startPostgres()
  try {
    const url = await server.newDatabase()
    const log = makeLog({ apis: 1000, audiences: 3, count })
    const loader = await openDatabaseLoader(url)
    const table = TABLES.find(({ name }) => name === 'revocations') as Table
    for (let from = 0; from < log.length; from += 2_000) {
      const rows = log
        .slice(from, from + 2_000)
        .map(({ tag: _, ...one }) => [one.seq, one.at, JSON.stringify(one)])
      await loader.put(table, ['seq', 'at', 'body'], rows)
    }
    await loader.commit()
    await loader.close()
    const { policy } = readConfig({ data: tmpdir() }, {})
    const costs: { database: number; authority: number }[] = []
    for (let run = 0; run <= RUNS; run++) {
      const store = await openPostgresStore({ url, policy, serving: false })
      const before = { database: cpuOfAll(server.pid), own: process.cpuUsage() }
      let read = 0
      for (let after = 0; ; ) {
        const page = await store.read({ kind: 'revocations', after, limit: 1_000 })
        read += page.length
        after = page.at(-1)?.seq ?? after
        if (page.length === 0) break
      }
      if (read !== count) throw new Error(`${read} of ${count} revocations were read`)
      const { user, system } = process.cpuUsage(before.own)
      const database = ((cpuOfAll(server.pid) - before.database) * 1e6) / count
      // The first warms up.
      if (run > 0) costs.push({ database, authority: (user + system) / count })
      await store.close()
      await pause(10)
    }
    return rowsOf(costs)
  } finally {
    await server.stop()
  }
}

function rowsOf(costs: { database: number; authority: number }[]): Followed {
  const database = summary(costs.map((one) => one.database))
  const authority = summary(costs.map((one) => one.authority))
  const what = 'following the log in PostgreSQL, a revocation'
  const rows = [
    { what: `${what}: CPU of the authority that follows`, unit: 'µs', ...authority },
    { what: `${what}: CPU of PostgreSQL for each authority`, unit: 'µs', ...database },
  ]
  return { rows, database: database.value, authority: authority.value }
}
