import { RescindError } from './errors.ts'
import type { AuditFilter } from './store/audit.ts'

/** What records can be picked out by; times as ISO 8601 or ms. */
export const AUDIT_FILTERS = [
  'event',
  'sub',
  'sid',
  'client',
  'actor',
  'reason',
  'address',
  'seq',
  'since',
  'until',
] as const

type Given = { [name in (typeof AUDIT_FILTERS)[number]]?: string | undefined }

/**
 * Reads a filter as it was typed.
 * @throws RescindError VALIDATION_ERROR
 */
export function readAuditFilter({ client, seq, since, until, ...rest }: Given): AuditFilter {
  const texts = Object.entries({ ...rest, clientId: client }).filter(
    ([name, value]) =>
      value !== undefined && (name === 'clientId' || (AUDIT_FILTERS as readonly string[]).includes(name)),
  )
  return {
    ...(Object.fromEntries(texts) as AuditFilter),
    ...(seq === undefined ? {} : { seq: readNumber('seq', seq) }),
    ...(since === undefined ? {} : { since: readTime('since', since) }),
    ...(until === undefined ? {} : { until: readTime('until', until) }),
  }
}

function readNumber(name: string, given: string): number {
  if (/^\d{1,15}$/.test(given)) return Number(given)
  throw new RescindError('VALIDATION_ERROR', `\`${name}\` must be a whole number.`)
}

const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/

function readTime(name: string, given: string): number {
  const at = /^\d{12,15}$/.test(given) ? Number(given) : ISO.test(given) ? Date.parse(given) : Number.NaN
  if (Number.isFinite(at)) return at
  throw new RescindError(
    'VALIDATION_ERROR',
    `\`${name}\` must be a day (2026-07-31), a time (2026-07-31T12:00:00Z), or milliseconds since 1970.`,
  )
}
