// Runs every test, or those whose files are named, and ends with one line: `N passed, N failed`.
import { globSync } from 'node:fs'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

const PATTERNS = [
  'packages/*/src/**/*.test.ts',
  'examples/*/*.test.ts',
  'tools/*.test.ts',
  'test/**/*.test.ts',
]

const files = process.argv.length > 2 ? process.argv.slice(2) : globSync(PATTERNS).sort()
let passed = 0
let failed = 0
// A file whose tests are over is over: a server that a failed test left open must not keep the whole run waiting.
const stream = run({ files, concurrency: 2, timeout: 6 * 60 * 1000, forceExit: true })
setTimeout(
  () => {
    process.stdout.write('The tests were given up after 30 minutes: one of them does not end\n')
    process.exit(1)
  },
  30 * 60 * 1000,
).unref()
stream.on('test:pass', ({ details, skip, todo }) => {
  if (details.type !== 'suite' && skip === undefined && todo === undefined) passed++
})
stream.on('test:fail', ({ details }) => {
  if (details.type !== 'suite') failed++
})
stream.compose(new spec()).pipe(process.stdout)
stream.on('end', () => {
  setImmediate(() => {
    if (passed === 0) failed++
    process.stdout.write(`${passed} passed, ${failed} failed\n`)
    process.exitCode = failed > 0 ? 1 : 0
  })
})
