import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { CHAIN_START } from '../domain/audit.ts'
import { checkChain } from '../domain/audit-chain.ts'
import type { RevocationRequest } from '../domain/revocation.ts'
import { accountConformance } from './conformance-accounts.ts'
import { NOW, refreshOf, sessionNamed } from './sessions-of-tests.ts'
import type { RecordWrite, Store } from './store.ts'

const endOf = (sid: string): RevocationRequest => ({
  by: { kind: 'session', sid },
  reason: 'user_logout',
  actor: 'test',
})

const put = (id: string, changes: object = {}): RecordWrite => ({
  op: 'put',
  model: 'Code',
  id,
  payload: new TextEncoder().encode(`payload of ${id}`),
  ...changes,
})

/**
 * What every store has to do, named after what goes wrong where it doesn't.
 * @param open opens a store on the same data each time, until `fresh` is called
 */
export function conformance(name: string, suite: { open(): Promise<Store>; fresh(): Promise<void> | void }) {
  describe(`store conformance: ${name}`, () => {
    let store: Store
    beforeEach(async () => {
      await suite.fresh()
      store = await suite.open()
    })
    afterEach(() => store.close())

    const openSession = (sid: string) =>
      store.transact({ kind: 'write', records: [], open: sessionNamed(sid), audit: [], at: NOW })
    const refresh = (sid: string, generation: number, at = NOW) =>
      store.transact({ kind: 'refresh', request: refreshOf(sid, generation), records: [], at })
    const end = (sid: string) => store.transact({ kind: 'revoke', request: endOf(sid), at: NOW })

    it('two-refreshes-one-token: of eight at once one rotates, the rest get its successor', async () => {
      await openSession('s')
      const outcomes = await Promise.all(Array.from({ length: 8 }, () => refresh('s', 1)))
      assert.equal(outcomes.filter((one) => one.kind === 'rotated').length, 1)
      assert.equal(outcomes.filter((one) => one.kind === 'repeated').length, 7)
      const salts = new Set(outcomes.map((one) => (one.kind === 'repeated' ? one.salt : undefined)))
      assert.equal(salts.size, 2, 'all repeats derive from the one salt')
      assert.equal((await store.read({ kind: 'session', sid: 's' }))?.refresh?.generation, 2)
    })

    it('refresh-after-revocation: nothing is issued for an ended session', async () => {
      await openSession('s')
      await end('s')
      assert.deepEqual(await refresh('s', 1), { kind: 'refused', why: 'ended' })
    })

    it('refresh-races-revocation: whatever was issued before is in the revocation', async () => {
      for (let round = 0; round < 50; round++) {
        const sid = `race-${round}`
        await openSession(sid)
        const [first, ended, second] = await Promise.all([refresh(sid, 1), end(sid), refresh(sid, 1)])
        assert.ok(ended.kind === 'revoked')
        const [record] = ended.revocations
        const killed = new Set(record?.what === 'session' ? record.tokens.map((token) => token.jti) : [])
        for (const outcome of [first, second]) {
          if (outcome.kind !== 'rotated' && outcome.kind !== 'repeated') continue
          assert.ok(killed.has(outcome.session.tokens.at(-1)?.jti ?? ''), 'a token outlived its session')
        }
      }
    })

    it('reuse-without-revocation: a used token ends the session in the same transaction', async () => {
      await openSession('s')
      await refresh('s', 1)
      await refresh('s', 2)
      const reused = await refresh('s', 1)
      assert.ok(reused.kind === 'reused')
      assert.deepEqual(
        reused.revocations.map((one) => one.reason),
        ['token_reuse'],
      )
      assert.equal((await store.read({ kind: 'session', sid: 's' }))?.ended?.reason, 'token_reuse')
    })

    it('double-revocation: of many at once one is effective, with one audit record', async () => {
      await openSession('s')
      const outcomes = await Promise.all(Array.from({ length: 10 }, () => end('s')))
      assert.equal(outcomes.filter((one) => one.kind === 'revoked').length, 1)
      assert.equal(outcomes.filter((one) => one.kind === 'already').length, 9)
      assert.equal(
        (await store.read({ kind: 'audit', filter: { event: 'revocation', limit: 100 } })).length,
        1,
      )
    })

    it('announced-too-late: listeners hear of a revocation before its caller does', async () => {
      await openSession('s')
      const heard: number[] = []
      store.onRevocation((revocation) => heard.push(revocation.seq))
      const outcome = await end('s')
      assert.ok(outcome.kind === 'revoked')
      assert.deepEqual(
        heard,
        outcome.revocations.map((one) => one.seq),
      )
    })

    it('gaps-in-the-log: seq counts up by one, and each has its audit record', async () => {
      await Promise.all(Array.from({ length: 30 }, (_, i) => openSession(`s${i}`)))
      await Promise.all(Array.from({ length: 30 }, (_, i) => end(`s${i}`)))
      const log = await store.read({ kind: 'revocations', after: 0, limit: 100 })
      assert.deepEqual(
        log.map((one) => one.seq),
        Array.from({ length: 30 }, (_, i) => i + 1),
      )
      const audit = await store.read({ kind: 'audit', filter: { limit: 100 } })
      assert.deepEqual(
        audit.map((one) => one.seq),
        log.map((one) => one.seq),
      )
      const chain = checkChain({ start: CHAIN_START })
      for (const record of audit) assert.equal(chain.take(record), undefined)
      assert.deepEqual(chain.end(), { first: 1, last: { n: 30, hash: audit.at(-1)?.hash } })
    })

    it('forgotten-at-restart: what was answered is there again', async () => {
      await openSession('s')
      await end('s')
      await store.close()
      store = await suite.open()
      assert.equal((await store.read({ kind: 'session', sid: 's' }))?.ended?.seq, 1)
      assert.deepEqual(await refresh('s', 1), { kind: 'refused', why: 'ended' })
      await openSession('t')
      const next = await end('t')
      assert.ok(next.kind === 'revoked' && next.revocations[0]?.seq === 2)
    })

    it('code-used-twice: of two exchanges at once one opens a session', async () => {
      await store.transact({ kind: 'write', records: [put('code')], audit: [], at: NOW })
      const exchange = (sid: string) =>
        store.transact({
          kind: 'write',
          records: [{ op: 'consume', model: 'Code', id: 'code', at: NOW }, put(`side-effect-${sid}`)],
          open: sessionNamed(sid),
          audit: [],
          at: NOW,
        })
      const outcomes = await Promise.all([exchange('a'), exchange('b')])
      assert.deepEqual(outcomes.map((one) => one.kind).sort(), ['conflict', 'written'])
      const lost = outcomes[0]?.kind === 'conflict' ? 'a' : 'b'
      assert.equal(await store.read({ kind: 'session', sid: lost }), undefined)
      const sideEffect = await store.read({ kind: 'record', model: 'Code', id: `side-effect-${lost}` })
      assert.equal(sideEffect, undefined, 'a refused transaction wrote something')
    })

    it('cut-off-outlived: a code from before a cut-off opens nothing, nor one of a client that is gone', async () => {
      const cutOff = { by: { kind: 'issued-before' as const, before: NOW }, reason: 'admin_forced' as const }
      await store.transact({ kind: 'revoke', request: { ...cutOff, actor: 'test' }, at: NOW })
      const open = (sid: string, grantedAt: number, records: RecordWrite[] = []) =>
        store.transact({
          ...{
            kind: 'write',
            records,
            open: { ...sessionNamed(sid), openedAt: NOW + 5, refreshedAt: NOW + 5 },
          },
          ...{ grantedAt, audit: [], at: NOW + 5 },
        })
      assert.equal((await open('before', NOW - 1)).kind, 'conflict')
      assert.equal((await open('after', NOW)).kind, 'written')
      const need: RecordWrite[] = [{ op: 'need', model: 'Client', id: 'c' }]
      assert.equal((await open('gone', NOW, need)).kind, 'conflict')
      const client = put('c', { model: 'Client' })
      await store.transact({ kind: 'write', records: [client], audit: [], at: NOW })
      assert.equal((await open('there', NOW, need)).kind, 'written')
      const removal = { op: 'delete' as const, model: 'Client', id: 'c' }
      const end = { sids: [], clientId: 'app', reason: 'app_uninstall' as const, actor: 'client:app' }
      const at = NOW + 10
      const removed = await store.transact({ kind: 'write', records: [removal], end, audit: [], at })
      assert.deepEqual(removed.kind === 'written' && removed.revocations.map(({ what }) => what), ['cut_off'])
      for (const sid of ['after', 'there'])
        assert.equal((await store.read({ kind: 'session', sid }))?.ended?.reason, 'app_uninstall')
      const unused = { ...end, clientId: 'never used' }
      const nothing = await store.transact({ kind: 'write', records: [], end: unused, audit: [], at })
      assert.deepEqual(nothing, { kind: 'written', revocations: [] })
    })

    it('proof-used-twice: a record that may be put once is refused the second time', async () => {
      const write = () =>
        store.transact({ kind: 'write', records: [put('jti', { once: true })], audit: [], at: NOW })
      assert.equal((await write()).kind, 'written')
      assert.equal((await write()).kind, 'conflict')
      await openSession('s')
      const request = refreshOf('s', 1)
      const replay = await store.transact({
        kind: 'refresh',
        request,
        records: [put('jti', { once: true })],
        at: NOW,
      })
      assert.equal(replay.kind, 'replayed')
      assert.equal((await store.read({ kind: 'session', sid: 's' }))?.refresh?.generation, 1)
    })

    it('index-given-twice: status-list blocks never overlap, also after a restart', async () => {
      const blocks = await Promise.all(
        Array.from({ length: 5 }, () =>
          store.transact({ kind: 'reserve-indexes', size: 10, listSize: 1000, at: 0, until: 1 }),
        ),
      )
      await store.close()
      store = await suite.open()
      blocks.push(
        await store.transact({ kind: 'reserve-indexes', size: 10, listSize: 1000, at: 0, until: 1 }),
      )
      assert.deepEqual(
        blocks.map((block) => block.first).sort((a, b) => a - b),
        [0, 10, 20, 30, 40, 50],
      )
    })

    it('list-gone-too-early: a status list lives as long as its longest block', async () => {
      const reserve = (at: number, until: number) =>
        store.transact({ kind: 'reserve-indexes', size: 600, listSize: 1000, at, until })
      await reserve(NOW, NOW + 5_000)
      await reserve(NOW, NOW + 3_000)
      const lists = async (at: number) =>
        (await store.read({ kind: 'status-lists', at })).map(({ list }) => list)
      assert.deepEqual(await lists(NOW + 4_999), [0])
      await reserve(NOW + 1_000, NOW + 9_000)
      assert.deepEqual(await lists(NOW + 4_999), [0, 1])
      assert.deepEqual(await lists(NOW + 5_000), [1])
      await store.close()
      store = await suite.open()
      assert.deepEqual(await store.read({ kind: 'status-lists', at: NOW + 5_000 }), [
        { list: 1, until: NOW + 9_000 },
      ])
    })

    it('kept-for-ever: records that have expired are forgotten, the others stay', async () => {
      const seconds = NOW / 1000
      const records = [
        put('old', { expiresAt: seconds - 1 }),
        put('new', { expiresAt: seconds + 60 }),
        put('lasting'),
      ]
      await store.transact({ kind: 'write', records, audit: [], at: NOW })
      await store.transact({ kind: 'write', records: [], audit: [], at: NOW + 60_000 })
      const left = await store.read({ kind: 'records', model: 'Code' })
      assert.deepEqual(left.map((record) => record.id).sort(), ['lasting', 'new'])
    })

    accountConformance(() => store)

    it('account-twice: an e-mail has one account, whatever its case', async () => {
      const account = { sub: '1', email: 'Ann@example.com', name: 'Ann', password: 'x', createdAt: NOW }
      const audit = { event: 'account.created' as const, at: NOW, actor: 'test' }
      assert.equal((await store.transact({ kind: 'add-account', account, audit })).kind, 'written')
      const again = { ...account, sub: '2', email: 'ann@example.com' }
      assert.equal((await store.transact({ kind: 'add-account', account: again, audit })).kind, 'exists')
      assert.equal((await store.read({ kind: 'account', email: 'ANN@EXAMPLE.COM' }))?.sub, '1')
    })
  })
}
