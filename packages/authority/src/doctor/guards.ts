import type { GuardState } from '../feed/feed.ts'
import { askRunning, type Here } from '../running-authority.ts'
import { type Finding, ok, reason, warn } from './finding.ts'

/** A guard that is as far behind, or as silent in ms, as this has trouble. */
const BEHIND = 100
const SILENT = 5_000

/** Asks the authority that runs here which guards are connected, and how they keep up. */
export async function checkGuards(here: Here): Promise<Finding[]> {
  let answer: Record<string, unknown> | undefined
  try {
    answer = await askRunning(here, '/v1/admin/guards')
  } catch (error) {
    return [warn('guards', `The authority here does not say which guards are connected: ${reason(error)}`)]
  }
  if (!answer)
    return [warn('guards', 'No authority runs here with this configuration, so no guard is connected.')]
  const { guards } = answer as { guards: GuardState[] }
  const expected = here.config.resources.filter(({ client_id }) => client_id !== undefined)
  const missing = expected.filter(({ client_id }) => !guards.some(({ clientId }) => clientId === client_id))
  const slow = guards.filter(({ behind, silentFor }) => behind > BEHIND || silentFor > SILENT)
  return [
    ok('guards', `Connected: ${guards.length}. APIs in the configuration: ${expected.length}.`),
    ...missing.map(({ resource }) =>
      warn('guards', `No guard of ${resource} is connected. Is that API running?`),
    ),
    ...slow.map(({ guard, address, behind, silentFor }) =>
      warn('guards', `${guard} at ${address} is ${behind} behind, and was last heard ${silentFor} ms ago.`),
    ),
  ]
}
