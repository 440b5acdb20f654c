import type { DeliveryQuery, DueDelivery } from '../deliveries.ts'
import { toDelivery } from '../rows.ts'
import { CURSOR } from './overlay-deliveries.ts'
import { type Rows, toDueDelivery } from './rows.ts'

type Asked<K extends DeliveryQuery['kind']> = Extract<DeliveryQuery, { kind: K }>

const MAX_HISTORY = 200

// Goes from lane to lane along the index, without reading what waits in them.
const LANES = `WITH RECURSIVE lanes (lane) AS (
    (SELECT min(lane) FROM deliveries WHERE state = 'waiting')
    UNION ALL
    SELECT (SELECT min(lane) FROM deliveries WHERE state = 'waiting' AND lane > lanes.lane) FROM lanes WHERE lane IS NOT NULL
  )
  SELECT lane, (SELECT min(next_at) FROM deliveries d WHERE d.state = 'waiting' AND d.lane = lanes.lane) AS next_at
  FROM lanes WHERE lane IS NOT NULL ORDER BY next_at`
const DUE = `SELECT * FROM deliveries WHERE state = 'waiting' AND lane = $1 AND next_at <= $2 ORDER BY next_at LIMIT $3`
const HISTORY = `SELECT * FROM deliveries WHERE kind = 'mail' AND target = $1 AND created_at > $3
  UNION SELECT * FROM deliveries WHERE kind = 'mail' AND sub = $2 AND created_at > $3
  ORDER BY created_at DESC LIMIT ${MAX_HISTORY}`
const LIST = `SELECT * FROM deliveries WHERE $1::text IS NULL OR state = $1 ORDER BY created_at DESC, n DESC LIMIT $2`

/** What is asked of the outbox. */
export function deliveryQueries(rows: Rows) {
  return {
    'notify-cursor': async () =>
      (await rows('SELECT value FROM counters WHERE name = $1', [CURSOR]))[0]?.value as number | undefined,
    deliveries: async ({ state, limit }: Asked<'deliveries'>) =>
      (await rows(LIST, [state ?? null, limit])).map(toDelivery).reverse(),
    async 'due-deliveries'({ at, perLane, busy, limit }: Asked<'due-deliveries'>) {
      const found: DueDelivery[] = []
      for (const { lane, next_at: nextAt } of await rows(LANES)) {
        if (nextAt > at || found.length >= limit) break
        if (!busy.includes(lane)) found.push(...(await rows(DUE, [lane, at, perLane])).map(toDueDelivery))
      }
      return found.slice(0, limit)
    },
    'mail-history': async ({ target, sub, since }: Asked<'mail-history'>) =>
      (await rows(HISTORY, [target, sub, since])).map(toDelivery),
  }
}
