import type { ResourceConfig } from '../config.ts'
import type { LoggedRevocation } from '../domain/revocation.ts'
import type { ConnectedGuard } from './guard-socket.ts'
import { createTurns, type Turns } from './turns.ts'

/** The guards of one client: they see the same, so it is written once for all of them. */
export type Group = {
  clientId: string
  resources: string[]
  /** The newest revocation for this group. */
  last: number
  /** What is to be sent at the end of this turn. */
  pending: string[]
  guards: Set<ConnectedGuard>
  /** Only so many of them catch up at once: each holds a page of the log until it has read it. */
  turns: Turns
}

const CATCHING_UP = 4

/** A group for each client that guards an API, by its `client_id`. */
export function createGroups(resources: ResourceConfig[]): Map<string, Group> {
  const groups = new Map<string, Group>()
  for (const { resource, client_id: clientId } of resources) {
    if (clientId === undefined) continue
    const group = groups.get(clientId)
    if (group) group.resources.push(resource)
    else {
      const nobody = { last: 0, pending: [], guards: new Set<ConnectedGuard>() }
      groups.set(clientId, { clientId, resources: [resource], ...nobody, turns: createTurns(CATCHING_UP) })
    }
  }
  return groups
}

/**
 * Changes the groups into those of other resources; one that stays as it was keeps its guards.
 * @returns the guards that belong to none any more
 */
export function regroup(groups: Map<string, Group>, resources: ResourceConfig[]): ConnectedGuard[] {
  const next = createGroups(resources)
  const homeless: ConnectedGuard[] = []
  for (const [clientId, group] of groups) {
    if (next.get(clientId)?.resources.join(' ') === group.resources.join(' ')) next.delete(clientId)
    else {
      groups.delete(clientId)
      homeless.push(...group.guards)
    }
  }
  for (const [clientId, group] of next) groups.set(clientId, group)
  return homeless
}

/** Whether a group's guards have to hear of a revocation: it kills what their APIs would accept. */
export function concerns({ resources }: Group, revocation: LoggedRevocation): boolean {
  const audiences = revocation.what === 'cut_off' ? undefined : revocation.audiences
  return audiences === undefined || resources.some((resource) => audiences.includes(resource))
}

/** The groups that guard each resource. */
export function indexGroups(groups: Map<string, Group>): Map<string, Group[]> {
  const byResource = new Map<string, Group[]>()
  for (const group of groups.values()) {
    for (const resource of group.resources)
      byResource.set(resource, [...(byResource.get(resource) ?? []), group])
  }
  return byResource
}

/** The groups that `concerns` is true of, each once. */
export function concerned(
  groups: Map<string, Group>,
  byResource: Map<string, Group[]>,
  revocation: LoggedRevocation,
): Iterable<Group> {
  const audiences = revocation.what === 'cut_off' ? undefined : revocation.audiences
  if (audiences === undefined) return groups.values()
  return new Set(audiences.flatMap((resource) => byResource.get(resource) ?? []))
}
