import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { lineOf } from './faults/history.ts'
import { runTrial } from './faults/trial.ts'

/* The short form of `npm run test:faults`, which see (docs/faults.md). */

const SHORT = { seconds: 15, processes: 2, people: 2, devices: 5 }

describe('two processes on one database, while everything around them breaks', () => {
  it('lose no revocation, take nothing dead, end nothing without a reason, and get ready again', async (t) => {
    const trial = await runTrial({ seed: 7, ...SHORT, replica: false }, (line) => t.diagnostic(line))
    for (const line of trial.report) t.diagnostic(line)
    const found = trial.violations.map(({ rule, entries }) => [rule, ...entries.map(lineOf)].join('\n  '))
    assert.deepEqual(found, [], `the processes wrote into ${trial.folder}`)
    // A run in which nothing happened shows nothing.
    assert.ok(trial.entries.some(({ outcome }) => outcome === 'unknown'))
    assert.ok(trial.entries.filter(({ ended }) => ended && ended.length > 0).length > 2)
  })
})
