import type { IncomingMessage, ServerResponse } from 'node:http'
import { sendJson } from './http/respond.ts'
import type { Store } from './store/store.ts'

/** Whoever asks is answered within this time, in ms. */
const PATIENCE = 1_000

export type Health = {
  /**
   * `GET /healthz`: the process is alive, whatever it can do. `GET /readyz`: it can serve: its store answers, and it is
   * not about to stop. Both under any name, as load balancers ask by address.
   * @returns whether the request was for one of the two
   */
  answer(req: IncomingMessage, res: ServerResponse): boolean
  /** It can’t go on: whoever looks after it should start it anew. */
  fail(why: string): void
  /** From now on it is not ready, and no connection is kept: it is about to stop. */
  stop(): void
  readonly stopping: boolean
}

/** Where it is asked how the process is. */
export function createHealth(store: Store): Health {
  let stopping = false
  let broken: string | undefined
  let asking: Promise<string | undefined> | undefined

  /** Why it can’t serve. However many ask, the store is asked one question at a time. */
  function fault(): Promise<string | undefined> {
    asking ??= ask(store).finally(() => {
      asking = undefined
    })
    return asking
  }
  function alive(res: ServerResponse) {
    if (broken === undefined) sendJson(res, 200, { status: 'ok' })
    else sendJson(res, 503, { status: 'unavailable', code: 'UNAVAILABLE', why: broken })
  }
  async function ready(res: ServerResponse) {
    const why = broken ?? (stopping ? 'it is stopping' : await fault())
    if (why === undefined) return sendJson(res, 200, { status: 'ok' })
    sendJson(res, 503, { status: 'unavailable', code: 'UNAVAILABLE', why }, { 'retry-after': '1' })
  }
  return {
    answer(req, res) {
      const path = req.url?.split('?', 1)[0]
      if (!/^(GET|HEAD)$/.test(`${req.method}`)) return false
      if (path === '/healthz') alive(res)
      else if (path === '/readyz') ready(res).catch(() => res.destroy())
      else return false
      return true
    },
    fail(why) {
      broken = why
    },
    stop() {
      stopping = true
    },
    get stopping() {
      return stopping
    },
  }
}

/** What a database says of itself may name more than a stranger has to know. */
async function ask(store: Store): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(resolve, PATIENCE, 'the store does not answer')
  })
  const asked = async () => {
    await store.read({ kind: 'head' })
    await store.caughtUp()
    return undefined
  }
  return Promise.race([asked().catch(() => 'the store is not available'), late]).finally(() =>
    clearTimeout(timer),
  )
}
