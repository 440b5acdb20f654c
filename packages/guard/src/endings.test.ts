import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { createCache } from './cache.ts'
import { announceEndings, type SessionEnded } from './endings.ts'
import type { Known } from './judge.ts'
import { isSet, LIST_SIZE, listUri } from './status.ts'
import { createRevocationView, type RevocationView } from './view.ts'

const ISSUER = 'https://login.example'
const AT = 1_800_000_000

describe('who hears that sessions end', () => {
  let view: RevocationView
  let known: ReturnType<typeof createCache<Known>>
  let heard: SessionEnded[]
  let stop: () => void
  beforeEach(() => {
    view = createRevocationView(ISSUER)
    known = createCache<Known>(100)
    heard = []
    stop = announceEndings(view, known)((ended) => heard.push(ended))
  })

  let last = 0
  /** A token that the guard has verified. */
  function remember(sid: string, iat: number, clientId = 'app'): Known {
    const idx = ++last
    const status = { idx: idx % LIST_SIZE, uri: listUri(ISSUER, 0) }
    const place = view.bits.place(status)
    assert.ok(place)
    const entry = { ...place, session: { sid, iat, clientId, jti: `${idx}`, status } } as unknown as Known
    known.set(`token ${idx}`, entry)
    return entry
  }
  const cutOff = (seq: number, before: number, clientId?: string) =>
    view.apply({
      ...{ seq, at: before * 1000, before, reason: 'admin_forced' },
      ...(clientId === undefined ? {} : { clientId }),
    })
  const sids = () => heard.map(({ sid }) => sid)

  it('a session that ends is told by its sid, once; a token that dies alone is not', () => {
    const record = { seq: 1, at: AT, sid: 's', reason: 'user_logout', tokens: [1] }
    view.apply({ ...record, jti: 'a' })
    assert.deepEqual(heard, [])
    view.apply({ ...record, seq: 2 })
    view.apply({ ...record, seq: 2 })
    assert.deepEqual(heard, [{ sid: 's', reason: 'user_logout', seq: 2 }])
  })

  it('a cut-off ends the sessions that it leaves no live token, each once', () => {
    const [old, older] = [remember('both', AT - 1), remember('both', AT - 5)]
    const [before, after] = [remember('kept', AT - 1), remember('kept', AT)]
    const other = remember('other', AT - 1, 'other')
    cutOff(7, AT, 'app')
    assert.deepEqual(heard, [{ sid: 'both', reason: 'admin_forced', seq: 7 }])
    assert.deepEqual([old, older, before].map(isSet), [true, true, true], 'their bits')
    assert.deepEqual([after, other].map(isSet), [false, false])
    cutOff(8, AT)
    assert.deepEqual(sids(), ['both', 'other'])
    cutOff(9, AT + 1)
    assert.deepEqual(sids(), ['both', 'other', 'kept'])
  })

  it('a session that was dead before is not told again', () => {
    const token = remember('gone', AT - 1)
    view.apply({ seq: 1, at: AT, sid: 'gone', reason: 'user_logout', tokens: [last] })
    assert.equal(isSet(token), true)
    cutOff(2, AT)
    assert.deepEqual(sids(), ['gone'])
  })

  it('one listener’s fault keeps no other from hearing, and who has stopped hears nothing', () => {
    const listen = announceEndings(view, known)
    const calls: string[] = []
    listen(() => {
      calls.push('bad')
      throw new Error('a bad listener')
    })
    listen(() => calls.push('good'))
    stop()
    view.apply({ seq: 1, at: AT, sid: 's', reason: 'user_logout', tokens: [] })
    assert.deepEqual([calls, heard], [['bad', 'good'], []])
  })
})
