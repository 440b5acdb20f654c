import type { Store } from '../store/store.ts'
import { dropSigningKey, rotateSigningKey } from './ring.ts'
import type { Seal } from './seal.ts'

const COMMANDS = ['list', 'rotate', 'drop'] as const
export type KeyCommand = (typeof COMMANDS)[number]

export function isKeyCommand(action: string): action is KeyCommand {
  return (COMMANDS as readonly string[]).includes(action)
}

/**
 * Carries out `rescind keys …` on the server; a running authority picks up what changed.
 * @param kid the key that is dropped
 * @returns what to print
 * @throws RescindError NOT_FOUND
 */
export async function keyCommand(
  command: KeyCommand,
  { store, seal }: { store: Store; seal: Seal },
  kid: string,
  actor: string,
): Promise<string> {
  switch (command) {
    case 'list':
      return listed(store)
    case 'rotate':
      return `Signing with ${await rotateSigningKey(store, seal, actor, Date.now())} from now on.`
    case 'drop': {
      const signing = await dropSigningKey(store, seal, kid, actor, Date.now())
      return `${kid} is gone, and what it signed with it. Signing with ${signing}.`
    }
  }
}

async function listed(store: Store): Promise<string> {
  const keys = (await store.read({ kind: 'keys' })).filter(({ use }) => use === 'signing')
  const time = (at: number) => new Date(at).toISOString()
  const lines = keys.map(({ kid, createdAt, retiredAt }) =>
    [kid, `made ${time(createdAt)}`, retiredAt ? `retired ${time(retiredAt)}` : 'signing'].join('\t'),
  )
  return lines.join('\n') || 'There is no signing key yet: the first start makes one.'
}
