import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createCutOffReading } from './cut-offs.ts'

/** A table of cut-offs, which counts the rows that it is asked for. */
function tableOf(bodies: Map<number, string>) {
  const table = {
    given: 0,
    async rows(_sql: string, [since]: unknown[] = []) {
      const found = [...bodies].filter(([seq]) => seq >= Number(since)).map(([seq, body]) => ({ seq, body }))
      table.given += found.length
      return found
    },
  }
  return table
}

const bodyOf = (seq: number, at = 1) =>
  JSON.stringify({ seq, at, before: 10 + seq, clientId: `client-${seq}`, reason: 'app_uninstall' })

describe('the cut-offs in a database', () => {
  it('are read once, however many clients have removed themselves', async () => {
    const bodies = new Map<number, string>()
    const table = tableOf(bodies)
    const read = createCutOffReading()
    assert.deepEqual((await read(table.rows)).all(), [])
    for (let seq = 1; seq <= 1_000; seq++) bodies.set(seq, bodyOf(seq))
    const [index] = await Promise.all([read(table.rows), read(table.rows)])
    assert.equal(index?.all().length, 1_000)
    assert.equal(index?.of('client-7').length, 1)
    table.given = 0
    for (let n = 0; n < 50; n++) await read(table.rows)
    assert.equal(table.given, 50, 'only the newest, to know that it is still there')
    bodies.set(1_500, bodyOf(1_500))
    assert.equal((await read(table.rows)).of('client-1500').length, 1)
  })

  it('are read anew where the database was set back', async () => {
    const bodies = new Map([1, 2, 3].map((seq) => [seq, bodyOf(seq)]))
    const { rows } = tableOf(bodies)
    const read = createCutOffReading()
    await read(rows)
    bodies.delete(3)
    bodies.delete(2)
    assert.deepEqual(
      (await read(rows)).all().map(({ seq }) => seq),
      [1],
    )
    await read(rows)
    bodies.set(1, bodyOf(1, 2))
    const [first] = (await read(rows)).of('client-1')
    assert.equal(first?.at, 2)
    bodies.clear()
    assert.deepEqual((await read(rows)).all(), [])
  })
})
