import { createHash } from 'node:crypto'
import type { Browser } from '../../tools/browser.ts'
import { API_GUARD } from '../setup.ts'
import { signIn, type Tokens } from '../sign-in.ts'
import { type Answer, ask, BOUND } from './ask.ts'
import type { Answer as GuardAnswer } from './guard-process.ts'
import { type Ended, type Entry, type History, now, type Operation } from './history.ts'
import type { Person, World } from './world.ts'

/** A session as the device has it that signed in. */
export type Held = {
  account: string
  sid: string
  jti: string
  access: string
  /** When the access token expires, in ms. */
  expires: number
  refresh: string
  ticket: string
  /** Its refresh token was revoked alone. */
  stopped?: true
  /** The answer to its last refresh never came. */
  lost?: true
}

/** A real client gives up on a refresh before its grace is over, in ms. */
const REFRESH_PATIENCE = 3_000
const SIGN_IN_PATIENCE = 60_000
const BASIC = `Basic ${btoa(`${API_GUARD.clientId}:${encodeURIComponent(API_GUARD.clientSecret)}`)}`

/** A token in the history: no history holds one that could be used. */
const nameOf = (token: string) => createHash('sha256').update(token).digest('base64url').slice(0, 10)

function claimsOf(token: string): { sid: string; jti: string; exp: number } {
  return JSON.parse(Buffer.from(`${token.split('.')[1]}`, 'base64url').toString())
}

type Facts = Partial<Pick<Entry, 'token' | 'last'>>
/** What an answer that came says: whether it was done, and what ended. */
type Reading = { outcome: Entry['outcome'] } & Partial<Pick<Entry, 'code' | 'ended' | 'successor'>>

export type Client = ReturnType<typeof createClient>

/** Asks, and writes down what was asked and answered. */
export function createClient({ issuer, processes, guards }: World, history: History) {
  async function record(
    held: Held,
    what: Operation,
    place: number,
    request: { path: string } & Parameters<typeof ask>[1],
    read: (status: number, body: Record<string, unknown>) => Reading,
    facts: Facts = {},
  ): Promise<{ entry: Entry; answer: Answer }> {
    const { name, url } = processes[place % processes.length] as (typeof processes)[number]
    const { account, sid, jti } = held
    const start = now()
    const answer = await ask(url + request.path, request)
    const reading = readAnswer(answer, read)
    return {
      entry: history.add({ start, where: name, what, account, sid, jti, ...facts, ...reading }),
      answer,
    }
  }

  return {
    places: processes.length,
    async signIn(browser: Browser, person: Person): Promise<Held | undefined> {
      const start = now()
      const entry = { start, where: 'front', what: 'sign-in' as const, account: person.sub }
      try {
        const tokens = await within(
          SIGN_IN_PATIENCE,
          signIn(issuer, { browser, person, scope: 'notes:read' }),
        )
        if (!tokens) return void history.add({ ...entry, outcome: 'hung' })
        const held = heldOf(person.sub, tokens)
        history.add({ ...entry, sid: held.sid, jti: held.jti, outcome: 'ok' })
        return held
      } catch (error) {
        history.add({ ...entry, outcome: 'unknown', code: why(error as Error) })
        return undefined
      }
    },

    async refresh(held: Held, place: number, last?: true): Promise<Entry> {
      const form = { grant_type: 'refresh_token', refresh_token: held.refresh, client_id: 'app' }
      const token = nameOf(held.refresh)
      const { entry, answer } = await record(
        held,
        'refresh',
        place,
        { path: '/oauth/token', form, patience: last ? BOUND : REFRESH_PATIENCE },
        (status, body) =>
          status === 200
            ? { outcome: 'ok', successor: nameOf(`${body.refresh_token}`) }
            : { outcome: 'refused', code: `${body.error_description ?? body.error}` },
        { token, ...(last ? { last } : {}) },
      )
      if (entry.outcome === 'ok' && answer.kind === 'answer')
        Object.assign(held, heldOf(held.account, { ...(answer.body as Tokens), logout_ticket: held.ticket }))
      return entry
    },

    async end(held: Held, what: 'revoke-pair' | 'revoke-access', place: number): Promise<Entry> {
      const json = {
        accessToken: held.access,
        ...(what === 'revoke-pair' ? { refreshToken: held.refresh } : {}),
      }
      const request = { path: '/v1/revoke', json, headers: { prefer: 'wait=0' } }
      const { entry } = await record(held, what, place, request, (status, body) => {
        const receipt = body.receipt as { ended?: Ended[] } | undefined
        return status === 200
          ? { outcome: 'ok', ended: endedIn(receipt) }
          : { outcome: 'refused', code: `${body.code}: ${body.error}` }
      })
      return entry
    },

    async endByOne(held: Held, what: 'revoke-refresh' | 'ticket', place: number): Promise<Entry> {
      const token = what === 'ticket' ? held.ticket : held.refresh
      const form = { client_id: 'app', token }
      const { entry } = await record(held, what, place, { path: '/oauth/revoke', form }, (status, body) =>
        status === 200 && body.revoked === true
          ? { outcome: 'ok', ended: endedIn(body) }
          : { outcome: 'refused', code: `${body.status ?? body.error}` },
      )
      return entry
    },

    async endOthers(held: Held, place: number): Promise<Entry> {
      const headers = { authorization: `Bearer ${held.access}` }
      const request = { path: '/v1/sessions/revoke-others', headers }
      const { entry } = await record(held, 'others', place, request, (status, body) =>
        status === 200
          ? { outcome: 'ok', ended: endedIn(body) }
          : { outcome: 'refused', code: `${body.code ?? status}` },
      )
      return entry
    },

    async introspect(held: Held, place: number, last?: true): Promise<Entry> {
      const request = {
        path: '/oauth/introspect',
        headers: { authorization: BASIC },
        form: { token: held.access },
      }
      const reading = (status: number, body: Record<string, unknown>): Reading => {
        if (status !== 200) return { outcome: 'unknown', code: `${status}` }
        return { outcome: body.active === true ? 'ok' : 'refused' }
      }
      const { entry } = await record(held, 'introspect', place, request, reading, last ? { last } : {})
      return entry
    },

    async check(held: Held, which: number, last?: true): Promise<Entry> {
      const guard = guards[which % guards.length] as (typeof guards)[number]
      const { account, sid, jti } = held
      const start = now()
      const answer = await within(BOUND, guard.check(held.access))
      const outcome = outcomeOf(answer)
      const facts = { start, where: guard.name, what: 'check' as const, account, sid, jti, outcome }
      return history.add({
        ...facts,
        ...(answer?.code ? { code: answer.code } : {}),
        ...(last ? { last } : {}),
      })
    },
  }
}

function readAnswer(
  answer: Answer,
  read: (status: number, body: Record<string, unknown>) => Reading,
): Reading {
  if (answer.kind === 'hung') return { outcome: 'hung' }
  if (answer.kind === 'lost') return { outcome: 'unknown', code: answer.why }
  const { status, body } = answer
  // “Unavailable” means that nothing was done; whether that is so is not taken for granted.
  return status >= 500 ? { outcome: 'unknown', code: `${status}` } : read(status, body)
}

/** Without addresses and ids, so that the same is counted together. */
function why({ message }: Error): string {
  return message
    .replace(/https?:\S+/g, 'a page')
    .replace(/"error_description.*/, '')
    .slice(0, 60)
}

function outcomeOf(answer: GuardAnswer | undefined): Entry['outcome'] {
  if (!answer) return 'hung'
  if (answer.ok) return 'ok'
  return answer.code === 'AUTHENTICATION_FAILED' ? 'refused' : 'unknown'
}

function heldOf(account: string, tokens: Tokens): Held {
  const { access_token: access, refresh_token: refresh, logout_ticket: ticket } = tokens
  const { sid, jti, exp } = claimsOf(access)
  return { account, sid, jti, access, expires: exp * 1000, refresh, ticket }
}

function endedIn(receipt: { ended?: unknown } | undefined): Ended[] {
  const ended = (receipt?.ended ?? []) as Ended[]
  return ended.map(({ what, sid, seq, reason }) => ({ what, sid, seq, reason }))
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
