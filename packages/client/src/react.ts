import { useSyncExternalStore } from 'react'
import type { Client } from './client.ts'
import type { SessionState } from './session.ts'

/** The session’s state, for a React component: it renders anew when that changes. */
export function useSession(client: Pick<Client, 'on' | 'state'>): SessionState {
  return useSyncExternalStore(
    (changed) => client.on('change', changed),
    () => client.state(),
    () => client.state(),
  )
}
