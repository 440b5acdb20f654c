/** What an answer to a logout is worth; what is `queued` is not over. */
export type Verdict =
  | { server: 'confirmed' | 'already-revoked' }
  /** `after`, in ms: the answer said when to come back. */
  | { server: 'queued'; why: string; after?: number }

/**
 * Judges what came back for a logout ticket. RFC 7009 answers 200 for whatever it does not know, and so does many a proxy
 * for whatever it likes: a receipt that names this session counts, and nothing else does.
 */
export async function judge(response: Response, sid: string): Promise<Verdict> {
  const { status } = response
  const body = (await response.json().catch(() => undefined)) as Receipt | undefined
  if (status === 200 && body?.revoked === true) {
    if (body.already === true) return { server: 'already-revoked' }
    const ours = (one: Entry) => one?.what === 'session' && one.sid === sid && Number(one.seq) > 0
    if (Array.isArray(body.ended) && body.ended.some(ours)) return { server: 'confirmed' }
  }
  return { server: 'queued', why: `answered ${status} without a receipt`, after: retryAfter(response) }
}

type Entry = { what?: unknown; sid?: unknown; seq?: unknown } | undefined
type Receipt = { revoked?: unknown; already?: unknown; ended?: Entry[] }

/** `Retry-After` in ms (RFC 9110 §10.2.3): seconds, or a date. */
function retryAfter({ headers }: Response): number | undefined {
  const given = headers.get('retry-after')
  if (given === null) return undefined
  const ms = /^\d+$/.test(given) ? Number(given) * 1000 : Date.parse(given) - Date.now()
  return ms > 0 ? ms : undefined
}
