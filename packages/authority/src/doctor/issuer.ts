import type { Config } from '../config.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

/** How long the issuer has to answer, in ms. */
const PATIENCE = 5_000

/** What the issuer says of itself: whether it is this authority, and the time by its clock, in ms. */
export type Answered = { findings: Finding[]; date?: number }

/** Asks for the discovery document, as every client does. */
export async function checkIssuer({ issuer }: Config): Promise<Answered> {
  const check = 'issuer'
  const url = `${issuer}/.well-known/openid-configuration`
  let response: Response
  try {
    response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(PATIENCE) })
  } catch (error) {
    const says = `${issuer} does not answer from here (${reason(error)}). Is the authority running, and its proxy?`
    return { findings: [warn(check, says)] }
  }
  const document = (await response.json().catch(() => undefined)) as { issuer?: unknown } | undefined
  const date = Date.parse(response.headers.get('date') ?? '')
  const answered = Number.isNaN(date) ? {} : { date }
  if (response.status !== 200 || typeof document?.issuer !== 'string') {
    const says = `${url} answers ${response.status}, which is no discovery document. What listens there is no authority.`
    return { findings: [fail(check, says)], ...answered }
  }
  if (document.issuer !== issuer) {
    const says = `${url} says that its issuer is ${document.issuer}. Set \`issuer\` to that, or mend the proxy.`
    return { findings: [fail(check, says)], ...answered }
  }
  return { findings: [ok(check, `${issuer} answers, and is an authority of that name.`)], ...answered }
}
