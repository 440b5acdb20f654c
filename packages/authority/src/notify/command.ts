import { RescindError } from '../errors.ts'
import type { DeliveryState } from '../store/deliveries.ts'
import type { Store } from '../store/store.ts'

const STATES: readonly string[] = ['waiting', 'delivered', 'dead'] satisfies DeliveryState[]
const MAX_SHOWN = 10_000

/**
 * `rescind deliveries`: the newest deliveries, one a line.
 * @throws RescindError VALIDATION_ERROR
 */
export async function showDeliveries(
  store: Store,
  { state, json }: { state?: string; json?: boolean },
  print: (line: string) => void,
): Promise<void> {
  if (state !== undefined && !STATES.includes(state)) {
    throw new RescindError('VALIDATION_ERROR', `--state is "${state}"; allowed: ${STATES.join(', ')}.`)
  }
  const query = { kind: 'deliveries', state: state as DeliveryState | undefined, limit: MAX_SHOWN } as const
  for (const one of await store.read(query)) {
    const times = { createdAt: iso(one.createdAt), nextAt: iso(one.nextAt) }
    if (json) {
      print(JSON.stringify({ ...one, ...times }))
      continue
    }
    const { id, kind, topic, target, attempts, lastError } = one
    const tries = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`
    const next = one.state === 'waiting' ? `next ${times.nextAt}` : ''
    const words = [id, one.state, kind, topic, target, times.createdAt, tries, next, lastError ?? '']
    print(words.filter(Boolean).join('\t'))
  }
}

/**
 * `rescind deliveries replay`: tries one dead delivery again, or all of them.
 * @throws RescindError VALIDATION_ERROR, NOT_FOUND
 */
export async function replayDeliveries(
  store: Store,
  id: string | undefined,
  allDead: boolean,
  print: (line: string) => void,
): Promise<void> {
  if ((id === undefined) !== allDead) {
    throw new RescindError('VALIDATION_ERROR', 'Usage: rescind deliveries replay ID|--all-dead')
  }
  const at = Date.now()
  const { count } = await store.transact({ kind: 'replay-deliveries', ...(id ? { id } : {}), at })
  if (count === 0 && id !== undefined) throw new RescindError('NOT_FOUND', `There is no dead delivery ${id}.`)
  print(`${count} ${count === 1 ? 'delivery is' : 'deliveries are'} tried again.`)
}

function iso(at: number): string {
  return new Date(at).toISOString()
}
