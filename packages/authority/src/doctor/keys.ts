import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Config } from '../config.ts'
import { openKeyRing } from '../keys/ring.ts'
import type { Seal } from '../keys/seal.ts'
import type { Store } from '../store/store.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

const DAY = 86_400_000
const OLD = 365

/** Where the master key is; a command that opens the data would make one where there is none. */
export function checkMasterKey({ masterKey, data, store }: Config, empty: boolean): Finding {
  if (masterKey) return ok('master key', 'The master key is in the configuration.')
  const path = resolve(join(data, 'master.key'))
  if (!existsSync(path)) {
    if (empty && store === undefined)
      return ok('master key', `The first start makes the master key, ${path}.`)
    if (!empty)
      return fail(
        'master key',
        `There is no master key: set RESCIND_MASTER_KEY, or restore ${path} from your backup.`,
      )
  }
  if (store === undefined) return ok('master key', `The master key is ${path}. Back it up with the data.`)
  const says = `The master key is a file on this machine (${path}), and every process needs the same one`
  return warn('master key', `${says}: set RESCIND_MASTER_KEY for all of them.`)
}

/** Whether the keys of the data open, and how old the one that signs is. */
export async function checkKeys(store: Store, seal: Seal, now: number): Promise<Finding[]> {
  const stored = await store.read({ kind: 'keys' })
  if (stored.length === 0) return [ok('keys', 'There are no keys yet; the first start makes them.')]
  try {
    const { signing } = await openKeyRing(store, seal, now)
    const made = stored.find(({ kid }) => kid === signing.kid)?.createdAt ?? now
    const days = Math.floor((now - made) / DAY)
    const says = `The keys open; the one that signs is ${days} ${days === 1 ? 'day' : 'days'} old.`
    return [days > OLD ? warn('keys', `${says} Make a new one: rescind keys rotate`) : ok('keys', says)]
  } catch (error) {
    return [fail('keys', `The keys do not open: ${reason(error)}.`)]
  }
}
