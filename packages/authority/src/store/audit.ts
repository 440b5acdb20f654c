/** Which audit records; times in ms, `until` exclusive. */
export type AuditFilter = {
  event?: string
  sub?: string
  sid?: string
  clientId?: string
  actor?: string
  reason?: string
  address?: string
  seq?: number
  since?: number
  until?: number
}

/**
 * At most `limit` records that a filter lets through: those before a place, the newest first, or those after one, the
 * oldest first. As looking is bounded there may be fewer although there are more: `next` is where to go on.
 */
export type AuditPage = { filter: AuditFilter; before?: number; after?: number; limit: number }
