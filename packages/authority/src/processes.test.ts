import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createProcesses } from './processes.ts'
import type { Store } from './store/store.ts'

/** Stores of processes that hear each other, as the database carries it: nothing above 8,000 bytes, nobody hears themselves. */
function hall() {
  const seats: ((message: string) => void)[] = []
  const lost: string[] = []
  return {
    lost,
    enter(): Store {
      let own: (message: string) => void = () => {}
      return {
        onMessage(listener: (message: string) => void) {
          own = listener
          seats.push(listener)
        },
        tellOthers(message: string) {
          if (Buffer.byteLength(message) >= 8_000) return void lost.push(message)
          for (const hear of seats) if (hear !== own) queueMicrotask(() => hear(message))
        },
      } as unknown as Store
    },
  }
}
const soon = () => new Promise((resolve) => setTimeout(resolve, 20))

describe('processes of one authority', () => {
  it('ask all others and wait for those alone that are there', async () => {
    const { enter } = hall()
    const [a, b, c] = ['a', 'b', 'c'].map((name) => createProcesses(enter(), () => ({ name })))
    await soon()
    b?.answer('who', async (body) => ({ b: body }))
    c?.answer('who', async (body) => ({ c: body }))
    const { answers, silent } = (await a?.ask('who', 'x', 5_000)) ?? {}
    assert.deepEqual([answers, silent], [[{ b: 'x' }, { c: 'x' }], []])
    c?.close()
    await soon()
    assert.deepEqual((await a?.ask('who', 'y', 5_000))?.answers, [{ b: 'y' }])
    for (const one of [a, b]) one?.close()
  })

  it('say of who does not answer what it said of itself', async () => {
    const { enter } = hall()
    const a = createProcesses(enter(), () => ({}))
    const b = createProcesses(enter(), () => ({ guards: 7 }))
    b.answer('broken', async () => assert.fail('it can’t'))
    await soon()
    for (const kind of ['unheard of', 'broken'])
      assert.deepEqual(await a.ask(kind, {}, 10), { answers: [], silent: [{ guards: 7 }] })
    for (const one of [a, b]) one.close()
  })

  it('carry what is long, and what is not English', async () => {
    const { enter, lost } = hall()
    const a = createProcesses(enter(), () => ({}))
    const b = createProcesses(enter(), () => ({}))
    await soon()
    const long = Array.from({ length: 3_000 }, (_, n) => `“${n}” 日本 \n"'\\`)
    b.answer('long', async (body) => [body, long])
    assert.deepEqual((await a.ask('long', long, 5_000)).answers, [[long, long]])
    assert.deepEqual(lost, [])
    for (const one of [a, b]) one.close()
  })

  it('take no harm from what they can’t read', async () => {
    const { enter } = hall()
    const stranger = enter()
    stranger.onMessage(() => {})
    const a = createProcesses(enter(), () => ({}))
    const heard: unknown[] = []
    a.hear('x', (body) => heard.push(body))
    const whole = { from: 'f', id: 'i', kind: 'x', text: '1' }
    const strange = [{ ...whole, parts: 1e9 }, { ...whole, part: -1 }, { ...whole, text: 5 }, {}, 7, null]
    for (const text of ['', '{', ...strange.map((one) => JSON.stringify(one)), JSON.stringify(whole)])
      stranger.tellOthers(text)
    await soon()
    assert.deepEqual(heard, [1])
    a.close()
  })
})
