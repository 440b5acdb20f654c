import type { GuardState } from './feed/feed.ts'
import { askRunning, type Here, notRunning } from './running-authority.ts'

/**
 * `rescind guards`: the guards that are connected to the running authority, and how far behind they are.
 * @throws RescindError UNAVAILABLE
 */
export async function showGuards(here: Here, json: boolean, print: (line: string) => void): Promise<void> {
  const answer = await askRunning(here, '/v1/admin/guards')
  if (!answer) throw notRunning(here.config, 'does not answer')
  const { seq, guards } = answer as { seq: number; guards: GuardState[] }
  if (json) return print(JSON.stringify({ seq, guards }))
  const connected = guards.length === 1 ? '1 guard is' : `${guards.length} guards are`
  print(`The newest revocation is ${seq}; ${connected} connected.`)
  if (guards.length === 0) return
  print(['GUARD', 'RESOURCES', 'ADDRESS', 'AGENT', 'SINCE', 'AT', 'BEHIND', 'HEARD'].join('\t'))
  for (const { guard, resources, address, agent, since, acknowledged, behind, silentFor } of guards) {
    const lag = behind === 0 ? 'up to date' : `${behind} behind`
    const heard = `${silentFor} ms ago`
    const times = [new Date(since).toISOString(), `${acknowledged}`, lag, heard]
    print([guard, resources.join(' '), address, agent || '-', ...times].join('\t'))
  }
}
