import { isDeepStrictEqual } from 'node:util'
import type { Authority } from './authority.ts'
import { withBuiltIns } from './built-ins.ts'
import type { Config } from './config.ts'
import { checkClients } from './oauth/check-clients.ts'
import { mountProvider } from './oauth/provider.ts'

/** What a running authority takes over; all else is built into what was made at its start. */
const TAKEN = ['clients', 'resources', 'admins'] as const

/**
 * Takes over the clients, resources and administrators of a configuration that was changed. One that can’t be used changes
 * nothing, and the log says why; it also names the settings that take a restart.
 * @param read reads the configuration again
 */
export async function reload(authority: Authority, read: () => Config): Promise<void> {
  const { log, config: before } = authority
  try {
    const { clients, resources, admins, ...rest } = withBuiltIns(read())
    const config = { ...before, clients, resources, admins }
    // On the side first: the library says only then whether it can use each client.
    const aside = { ...authority, config }
    const trial = mountProvider(aside)
    await checkClients({ ...aside, provider: () => trial })
    authority.config = config
    authority.remount()
    authority.origins.configure(clients)
    authority.feed.regroup(resources)
    for (const { backchannel_logout_uri: uri } of clients)
      if (typeof uri === 'string') authority.notices.expectLogouts(uri)
    const waiting = Object.entries(rest).filter(
      ([name, value]) => !isDeepStrictEqual(value, before[name as keyof Config]),
    )
    const restart = waiting.map(([name]) => (name === 'policy' ? 'lifetimes' : name))
    log.info({ taken: TAKEN, ...(restart.length > 0 ? { restart } : {}) }, 'the configuration was read again')
  } catch (error) {
    log.error(
      { error: (error as Error).message },
      'the configuration was not taken over; nothing has changed',
    )
  }
}
