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
  /** From now on it is not ready: it is about to stop. */
  stop(): void
}

/**
 * Where it is asked how the process is.
 * @param patience how long the store has to answer, in ms
 */
export function createHealth(store: Pick<Store, 'read' | 'caughtUp'>, patience = PATIENCE): Health {
  let stopping = false
  let broken: string | undefined
  const fault = createQuestion(async () => {
    await store.read({ kind: 'tag', seq: 0 })
    await store.caughtUp()
  }, patience)

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
  }
}

/**
 * Asks one thing at a time, however many want to know: who comes while it is being asked shares the answer, and waits no
 * longer than whoever came first.
 * @returns why it was not answered; nothing, where it was
 */
function createQuestion(ask: () => Promise<unknown>, patience: number): () => Promise<string | undefined> {
  let asking: { at: number; answered: Promise<string | undefined> } | undefined
  return async () => {
    asking ??= {
      at: performance.now(),
      answered: ask()
        // What a database says of itself may name more than a stranger has to know.
        .then(
          () => undefined,
          () => 'the store is not available',
        )
        .finally(() => {
          asking = undefined
        }),
    }
    let timer: NodeJS.Timeout | undefined
    const left = Math.max(0, asking.at + patience - performance.now())
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(resolve, left, 'the store does not answer')
    })
    return Promise.race([asking.answered, late]).finally(() => clearTimeout(timer))
  }
}
