import type { ClearStep, Ended } from '../platform.ts'
import { within } from '../within.ts'
import { INSTALLED } from './installed.ts'
import type { PlainStorage, SecureStore } from './platform.ts'

type Clearing = {
  secureStore: SecureStore
  storage: PlainStorage
  /** The app’s own entries in the keychain. */
  secureKeys: string[]
  /** Keys of `storage` that stay. */
  keep: string[]
  hooks: Set<(ended: Ended) => unknown>
}

/** For each thing that a killed app has left, in ms. */
const PATIENCE = 2_000

/** What is cleared at the end of a session, besides the session. */
export function clearSteps(
  { secureStore, storage, secureKeys, keep, hooks }: Clearing,
  ended: Ended,
): ClearStep[] {
  return [
    ...secureKeys.map(
      (key): ClearStep => ({ name: `secureStore ${key}`, run: () => secureStore.remove(key) }),
    ),
    { name: 'storage', run: () => clearStorage(storage, [...keep, INSTALLED]) },
    ...[...hooks].map((hook, n): ClearStep => ({ name: `onClear ${n + 1}`, run: () => hook(ended) })),
  ]
}

/** Each is removed, whatever becomes of the others. */
async function clearStorage(storage: PlainStorage, keep: string[]) {
  const keys = (await storage.getAllKeys()).filter((key) => !keep.includes(key))
  let failed: { error: unknown } | undefined
  await Promise.all(
    keys.map((key) =>
      storage.removeItem(key).catch((error) => {
        failed = { error }
      }),
    ),
  )
  if (failed) throw failed.error
}

type Left = { uncleared(): Promise<Ended | undefined>; cleared(): Promise<void> }

/**
 * Clears what a logout has left that was cut off by the end of the app.
 * @returns does it, once; what fails is tried no more, what can’t be read yet is
 */
export function createFinish(store: Left, stepsOf: (ended: Ended) => ClearStep[]): () => Promise<void> {
  async function clearLeft() {
    const ended = await store.uncleared()
    if (!ended) return
    await Promise.all(stepsOf(ended).map(({ run }) => within(PATIENCE, run).catch(() => {})))
    await store.cleared()
  }
  let finished: Promise<void> | undefined
  return () => {
    finished ??= clearLeft().catch(() => {
      finished = undefined
    })
    return finished
  }
}
