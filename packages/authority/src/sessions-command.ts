import { listSessions } from './admin-lists.ts'
import type { Here } from './running-authority.ts'

/** So many are shown unless somebody asks for more. */
const SHOWN = 100

type Given = { sub?: string; client?: string; limit?: string; json?: boolean }

/**
 * `rescind sessions`: the newest sessions, one a line.
 * @param given.limit a whole number, as it was typed
 */
export async function showSessions(
  { store }: Pick<Here, 'store'>,
  { sub, client: clientId, limit = `${SHOWN}`, json }: Given,
  print: (line: string) => void,
): Promise<void> {
  let left = Number(limit)
  for (let before: number | undefined; left > 0; ) {
    const { sessions, next } = await listSessions({ store }, { sub, clientId, before })
    for (const one of sessions.slice(0, left)) {
      const { sid, email, clientId: of, openedAt, lastSeen, endedAt, reason } = one
      const state = endedAt === undefined ? 'live' : `ended ${endedAt} ${reason}`
      const words = [sid, email ?? one.sub, of, `opened ${openedAt}`, `seen ${lastSeen}`, state]
      print(json ? JSON.stringify(one) : words.join('\t'))
    }
    left -= sessions.length
    if (next === undefined) return
    before = Number(next)
  }
}
