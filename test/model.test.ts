import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import { createBrowser } from '../tools/browser.ts'
import { startTestAuthority, type TestAuthority } from './setup.ts'
import { lives, post, refresh, signIn, type Tokens } from './sign-in.ts'
import { callTool } from './tool.ts'

/* Random interleavings of everything that happens to sessions, against a model of which tokens live. */

/** The model: ten lines that say what lives. */
type Access = { token: string; exp: number; revoked: boolean }
type Model = {
  access: Access[]
  refresh: string[]
  ticket: string
  refreshing: boolean
  rotatedAt: number
  ended: boolean
}
const accessLives = (s: Model, a: Access, now: number) => !s.ended && !a.revoked && now < a.exp
const refreshLives = (s: Model, token: string) => !s.ended && s.refreshing && token === s.refresh.at(-1)
const endIfBare = (s: Model, now: number) => {
  if (!s.refreshing && !s.access.some((a) => accessLives(s, a, now))) s.ended = true
}

const SKEW = 5_000
const GRACE = 10_000
const BACKEND = `Basic ${btoa(`backend:${encodeURIComponent('the secret of the backend')}`)}`

type Step =
  | { kind: 'sign-in' }
  | { kind: 'refresh'; session: number; back: number }
  | { kind: 'revoke-pair'; session: number; tool: boolean; withRefresh: boolean; back: number }
  | { kind: 'revoke-one'; session: number; what: 'access' | 'refresh' | 'ticket' }
  | { kind: 'advance'; ms: number }
  | { kind: 'restart' }

const session = fc.nat({ max: 5 })
const back = fc.nat({ max: 2 })
const yes = fc.boolean()
const what = fc.constantFrom('access', 'refresh', 'ticket')
const of = (shape: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(shape) as fc.Arbitrary<unknown> as fc.Arbitrary<Step>
const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: of({ kind: fc.constant('sign-in') }) },
    { weight: 5, arbitrary: of({ kind: fc.constant('refresh'), session, back }) },
    {
      weight: 3,
      arbitrary: of({ kind: fc.constant('revoke-pair'), session, tool: yes, withRefresh: yes, back }),
    },
    { weight: 3, arbitrary: of({ kind: fc.constant('revoke-one'), session, what }) },
    {
      weight: 2,
      arbitrary: of({ kind: fc.constant('advance'), ms: fc.constantFrom(1_000, 11_000, 601_500, 660_000) }),
    },
    { weight: 1, arbitrary: of({ kind: fc.constant('restart') }) },
  ),
  { minLength: 5, maxLength: 22 },
)

describe('random interleavings', () => {
  let authority: TestAuthority
  before(async () => {
    authority = await startTestAuthority()
  })
  after(() => authority.stop())

  const now = () => authority.authority.now()
  const expOf = (token: string) => JSON.parse(atob(`${token.split('.')[1]}`)).exp * 1000
  const issued = (tokens: Tokens): Access => ({
    token: tokens.access_token,
    exp: expOf(tokens.access_token),
    revoked: false,
  })
  const revokeOne = async (token: string) => {
    const response = await fetch(`${authority.issuer}/oauth/revoke`, {
      method: 'POST',
      headers: { authorization: BACKEND },
      body: new URLSearchParams({ token }),
    })
    assert.equal(response.status, 200)
  }

  async function doRefresh(s: Model, back: number) {
    const presented = s.refresh.at(-1 - back) ?? s.refresh[0] ?? ''
    const depth = s.refresh.length - 1 - s.refresh.indexOf(presented)
    const response = await refresh(authority.issuer, presented, 'backend')
    const answer = (await response.json()) as Tokens
    const usable = !s.ended && s.refreshing
    const repeat = depth === 1 && now() - s.rotatedAt <= GRACE
    assert.equal(response.status === 200, usable && (depth === 0 || repeat), `refresh ${depth} back`)
    if (usable && depth > 0 && !repeat) s.ended = true
    if (response.status !== 200) return
    s.access.push(issued(answer))
    if (depth === 0) {
      s.refresh.push(answer.refresh_token)
      s.rotatedAt = now()
    } else assert.equal(answer.refresh_token, s.refresh.at(-1), 'another successor')
  }

  async function doRevokePair(s: Model, step: Extract<Step, { kind: 'revoke-pair' }>) {
    const access = s.access.at(-1 - step.back) ?? s.access[0]
    assert.ok(access)
    const refreshToken = s.refresh.at(-1 - step.back) ?? s.refresh[0] ?? ''
    const input = { accessToken: access.token, ...(step.withRefresh ? { refreshToken } : {}) }
    const dead = s.ended || (access.revoked && now() < access.exp + SKEW)
    const refused = dead && !(step.withRefresh && refreshLives(s, refreshToken))
    if (step.tool) {
      const result = await callTool(authority.issuer, 'revoke_oauth_tokens', input)
      assert.equal(result.isError === true, refused)
    } else {
      const response = await post(`${authority.issuer}/v1/revoke`, input)
      assert.equal(response.status, refused ? 410 : 200)
    }
    if (refused) return
    if (step.withRefresh) s.ended = true
    else access.revoked = true
    endIfBare(s, now())
  }

  async function doRevokeOne(s: Model, what: 'access' | 'refresh' | 'ticket') {
    const access = s.access.at(-1)
    assert.ok(access)
    await revokeOne(what === 'access' ? access.token : what === 'refresh' ? `${s.refresh.at(-1)}` : s.ticket)
    if (what === 'ticket') s.ended = true
    if (what === 'access') access.revoked = true
    if (what === 'refresh' && !s.refreshing) return
    if (what === 'refresh') s.refreshing = false
    endIfBare(s, now())
  }

  async function compare(models: Model[]) {
    for (const s of models) {
      for (const a of s.access)
        assert.equal(await lives(authority.issuer, a.token), accessLives(s, a, now()), 'access')
      for (const token of s.refresh) {
        const response = await fetch(`${authority.issuer}/oauth/introspect`, {
          method: 'POST',
          headers: { authorization: BACKEND },
          body: new URLSearchParams({ token }),
        })
        assert.equal(
          ((await response.json()) as { active: boolean }).active,
          refreshLives(s, token),
          'refresh',
        )
      }
    }
  }

  it('leave alive exactly what the model says', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const browser = createBrowser()
        const models: Model[] = []
        for (const step of [{ kind: 'sign-in' } as Step, ...script]) {
          const s = 'session' in step ? models[step.session % models.length] : undefined
          if (step.kind === 'sign-in') {
            const tokens = await signIn(authority.issuer, { clientId: 'backend', browser })
            const { refresh_token, logout_ticket } = tokens
            models.push({
              access: [issued(tokens)],
              refresh: [refresh_token],
              ticket: logout_ticket,
              refreshing: true,
              rotatedAt: 0,
              ended: false,
            })
          } else if (step.kind === 'advance') authority.advance(step.ms)
          else if (step.kind === 'restart') await authority.restart()
          else if (s && step.kind === 'refresh') await doRefresh(s, step.back)
          else if (s && step.kind === 'revoke-pair') await doRevokePair(s, step)
          else if (s && step.kind === 'revoke-one') await doRevokeOne(s, step.what)
        }
        await compare(models)
        const audit = await authority.authority.store.read({
          kind: 'audit',
          filter: { event: 'revocation', limit: 1e6 },
        })
        const log = await authority.authority.store.read({ kind: 'revocations', after: 0, limit: 1e6 })
        assert.deepEqual(
          audit.map((record) => record.seq),
          log.map((revocation) => revocation.seq),
        )
      }),
      { numRuns: 40 },
    )
  })
})
