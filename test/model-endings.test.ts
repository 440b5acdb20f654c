import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { addAccount, setPassword } from '../packages/authority/src/accounts.ts'
import { DEFAULT_POLICY } from '../packages/authority/src/domain/policy.ts'
import type { Reason } from '../packages/authority/src/domain/reason.ts'
import { revoke } from '../packages/authority/src/revoke.ts'
import { createGuard, type Guard } from '../packages/guard/src/index.ts'
import { until } from '../packages/guard/test/peer.ts'
import { type Browser, createBrowser } from '../tools/browser.ts'
import { API, API_GUARD, PERSON, startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, refresh, signIn, type Tokens } from './sign-in.ts'

/* Random sequences of what ends many sessions at once, or by itself, against a model of which sessions live. */

const MINUTE = 60_000
const IDLE = 60 * MINUTE
const ABSOLUTE = 180 * MINUTE
const MOST = 4
const PEOPLE = [PERSON, { email: 'bob@example.com', password: 'a password of Bob', name: 'Bob' }]
const APPS = ['app', 'other-app']

type Model = {
  person: number
  app: string
  sid: string
  device?: string
  openedAt: number
  refreshedAt: number
  tokens: { token: string; iat: number; exp: number; dead?: true }[]
  refreshToken: string
  ended?: Reason
}

type Step =
  | { kind: 'sign-in'; person: number; browser: number; app: number }
  | { kind: 'refresh'; session: number }
  | { kind: 'advance'; minutes: number }
  | { kind: 'password'; person: number }
  | { kind: 'all-but-one'; session: number }
  | { kind: 'device'; session: number }
  | { kind: 'cut-off'; app: number | undefined; minutesAgo: number }
  | { kind: 'restart' }

const two = fc.nat({ max: 1 })
const session = fc.nat({ max: 7 })
const of = (kind: Step['kind'], shape: Record<string, fc.Arbitrary<unknown>> = {}) =>
  fc.record({ kind: fc.constant(kind), ...shape }) as unknown as fc.Arbitrary<Step>
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: of('sign-in', { person: two, browser: two, app: two }) },
    { weight: 4, arbitrary: of('refresh', { session }) },
    { weight: 3, arbitrary: of('advance', { minutes: fc.constantFrom(1, 9, 11, 35, 61) }) },
    { weight: 1, arbitrary: of('password', { person: two }) },
    { weight: 1, arbitrary: of('all-but-one', { session }) },
    { weight: 1, arbitrary: of('device', { session }) },
    {
      weight: 1,
      arbitrary: of('cut-off', {
        app: fc.option(two, { nil: undefined }),
        minutesAgo: fc.constantFrom(0, 0, 5, 20),
      }),
    },
    { weight: 1, arbitrary: of('restart') },
  ),
  { minLength: 4, maxLength: 20 },
)

/** Run twice within a second: a sign-in between two cut-offs is dated with the next one. */
const CUT_AND_BACK: Step[] = [
  { kind: 'cut-off', app: 0, minutesAgo: 0 },
  { kind: 'sign-in', person: 0, browser: 0, app: 0 },
]
const TWO_IN_ONE_SECOND: [Step[]][] = Array.from({ length: 4 }, () => [[...CUT_AND_BACK, ...CUT_AND_BACK]])

/** What ends meanwhile is too old to matter to a guard that comes back: it has to know that it has missed nothing. */
const LONG_AGO: [Step[]] = [
  [
    { kind: 'sign-in', person: 0, browser: 0, app: 0 },
    { kind: 'restart' },
    { kind: 'advance', minutes: 61 },
    { kind: 'advance', minutes: 61 },
    { kind: 'password', person: 0 },
    { kind: 'sign-in', person: 0, browser: 0, app: 0 },
    { kind: 'advance', minutes: 1 },
  ],
]

describe('what ends many sessions at once, in any order', () => {
  let authority: TestAuthority
  let guard: Guard
  let subs: string[]
  before(async () => {
    const policy = { ...DEFAULT_POLICY, sessionIdle: IDLE, sessionAbsolute: ABSOLUTE, maxSessions: MOST }
    authority = await startTestAuthority({ policy })
    const { store } = authority.authority
    await addAccount(store, PEOPLE[1] as typeof PERSON, 'test', Date.now())
    const accounts = PEOPLE.map(({ email }) => store.read({ kind: 'account', email }))
    subs = (await Promise.all(accounts)).map((account) => `${account?.sub}`)
    guard = createGuard({ issuer: authority.issuer, audience: API, credentials: API_GUARD })
    await guard.ready()
  })
  after(async () => {
    guard.close()
    await authority.stop()
  })

  const now = () => authority.authority.now()
  const claimsOf = (token: string) => JSON.parse(atob(`${token.split('.')[1]}`))
  const stored = (sid: string) => authority.authority.store.read({ kind: 'session', sid })
  const liveOf = (models: Model[], person: number) => models.filter((s) => s.person === person && !s.ended)
  function end(models: Model[], reason: Reason) {
    for (const s of models) s.ended ??= reason
  }
  function take(s: Model, tokens: Tokens) {
    const { iat, exp } = claimsOf(tokens.access_token)
    s.tokens.push({ token: tokens.access_token, iat, exp })
    s.refreshToken = tokens.refresh_token
    s.refreshedAt = now()
  }

  async function doSignIn(models: Model[], step: Extract<Step, { kind: 'sign-in' }>, browsers: Browser[]) {
    const app = APPS[step.app] as string
    const browser = browsers[step.person * 2 + step.browser]
    const tokens = await signIn(authority.issuer, { clientId: app, browser, person: PEOPLE[step.person] })
    const { sid } = claimsOf(tokens.access_token)
    const device = (await stored(sid))?.device
    const made = {
      person: step.person,
      app,
      sid,
      openedAt: now(),
      refreshedAt: 0,
      tokens: [],
      refreshToken: '',
    }
    const s: Model = { ...made, ...(device ? { device } : {}) }
    take(s, tokens)
    const others = liveOf(models, step.person).sort((a, b) => a.refreshedAt - b.refreshedAt)
    end(others.slice(0, Math.max(0, others.length + 1 - MOST)), 'session_timeout')
    models.push(s)
  }
  async function doRefresh(s: Model) {
    const response = await refresh(authority.issuer, s.refreshToken, s.app)
    assert.equal(response.status === 200, !s.ended, `refresh of a session that is ${s.ended ?? 'live'}`)
    if (response.status === 200) take(s, (await response.json()) as Tokens)
  }
  async function doAdvance(models: Model[], minutes: number) {
    authority.advance(minutes * MINUTE)
    const over = ({ refreshedAt, openedAt }: Model) =>
      now() >= refreshedAt + IDLE || now() >= openedAt + ABSOLUTE
    await authority.authority.store.transact({ kind: 'time-out', at: now(), limit: 1_000 })
    end(models.filter(over), 'session_timeout')
  }
  async function doCutOff(models: Model[], { app, minutesAgo }: Extract<Step, { kind: 'cut-off' }>) {
    const clientId = app === undefined ? undefined : APPS[app]
    // Time goes on between a sign-in and this, as it does between people.
    authority.advance(1)
    const before = now() - minutesAgo * MINUTE
    const by = { kind: 'issued-before' as const, before, ...(clientId ? { clientId } : {}) }
    await revoke(authority.authority, by, 'test', '127.0.0.1', { reason: 'admin_forced' })
    const meant = models.filter((s) => (clientId ?? s.app) === s.app)
    end(
      meant.filter((s) => s.refreshedAt < before),
      'admin_forced',
    )
    for (const token of meant.flatMap((s) => s.tokens))
      if (token.iat < Math.ceil(before / 1000)) token.dead = true
  }
  const endBy = (by: Parameters<typeof revoke>[1], reason: Reason) =>
    revoke(authority.authority, by, 'test', '127.0.0.1', { reason })

  async function run(models: Model[], step: Step, browsers: Browser[]) {
    const s = 'session' in step ? models[step.session % models.length] : undefined
    if (step.kind === 'sign-in') await doSignIn(models, step, browsers)
    else if (step.kind === 'advance') await doAdvance(models, step.minutes)
    else if (step.kind === 'cut-off') await doCutOff(models, step)
    else if (step.kind === 'restart') await authority.restart()
    else if (step.kind === 'password') {
      const { email, password } = PEOPLE[step.person] as typeof PERSON
      await setPassword(authority.authority.store, email, password, 'test', now())
      end(liveOf(models, step.person), 'password_change')
    } else if (s && step.kind === 'refresh') await doRefresh(s)
    else if (s && step.kind === 'all-but-one') {
      await endBy({ kind: 'account', sub: `${subs[s.person]}`, except: s.sid }, 'user_logout')
      end(
        liveOf(models, s.person).filter((one) => one !== s),
        'user_logout',
      )
    } else if (s?.device && step.kind === 'device') {
      await endBy({ kind: 'account', sub: `${subs[s.person]}`, device: s.device }, 'device_removed')
      end(
        liveOf(models, s.person).filter((one) => one.device === s.device),
        'device_removed',
      )
    }
  }

  async function compare(models: Model[]) {
    await until(() => guard.state().live && guard.state().seq >= authority.authority.view.seq)
    for (const s of models) {
      assert.equal((await stored(s.sid))?.ended?.reason, s.ended, 'why it ended')
      for (const { token, exp, dead } of s.tokens) {
        const alive = !s.ended && !dead && exp * 1000 > now()
        assert.equal(await lives(authority.issuer, token), alive, 'at the authority')
        // A guard's clock follows the authority's with the next heartbeat.
        const accepted = () =>
          guard.check(token).then(
            () => true,
            () => false,
          )
        if (alive) await until(accepted)
        else if (exp * 1000 > now()) assert.equal(await accepted(), false, 'at the guard')
      }
    }
  }

  it('leaves alive exactly what the model says, with the reasons that it says', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const browsers = Array.from({ length: 4 }, createBrowser)
        const models: Model[] = []
        const first: Step = { kind: 'sign-in', person: 0, browser: 0, app: 0 }
        // What earlier rounds left open would count among the sessions of an account.
        for (const sub of subs) await endBy({ kind: 'account', sub }, 'user_logout')
        for (const step of [first, ...script]) await run(models, step, browsers)
        await compare(models)
      }),
      { numRuns: 25, examples: [...TWO_IN_ONE_SECOND, LONG_AGO] },
    )
  })
})
