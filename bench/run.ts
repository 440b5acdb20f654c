// `npm run bench [-- NAME…]`: measures, prints a table, and writes bench/results/NAME.json; then all.json and chart.svg.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { atRest } from './at-rest.ts'
import { check } from './check.ts'
import { combine } from './combine.ts'
import { endpoint } from './endpoints.ts'
import { growth } from './growth.ts'
import { peers } from './peer-servers.ts'
import { postgres } from './postgres.ts'
import { createProgress, type Progress } from './progress.ts'
import { propagation } from './propagation.ts'
import { describeMachine, type Results, saveResults } from './results.ts'
import { scale } from './scale/scale.ts'
import { sessions } from './sessions.ts'
import { steady } from './steady.ts'
import { table } from './table.ts'

export type Measured = Pick<Results, 'notes' | 'rows'>
export type BenchOptions = {
  /** Tiny sizes: whether everything works, not how fast. */
  quick: boolean
  /** Compare with other libraries. */
  peers: boolean
  progress: Progress
}

const BENCHMARKS = new Map<string, { about: string; run: (options: BenchOptions) => Promise<Measured> }>([
  ['revoke', { about: 'POST /v1/revoke, durable, on SQLite and PostgreSQL', run: endpoint('revoke') }],
  ['introspect', { about: 'POST /oauth/introspect, authenticated', run: endpoint('introspect') }],
  ['refresh', { about: 'the refresh grant, durable, rotated', run: endpoint('refresh') }],
  ['mcp', { about: 'revoke_oauth_tokens over MCP', run: endpoint('mcp') }],
  ['peers', { about: 'revoke, introspect, refresh and check by other servers', run: peers }],
  ['postgres', { about: 'what each operation costs on PostgreSQL', run: postgres }],
  ['steady', { about: 'PostgreSQL with a million live sessions that are refreshed', run: steady }],
  ['check', { about: 'a guard: checks per second, memory, cold start', run: check }],
  ['memory', { about: 'the authority at rest, and how soon it is ready', run: atRest }],
  ['growth', { about: 'revoke and introspect among up to five million sessions', run: growth }],
  ['sessions', { about: 'listing, ending and timing out among a million sessions', run: sessions }],
  ['scale', { about: 'a hundred thousand guards and 10,000 revocations a second', run: scale }],
  ['propagation', { about: 'from POST /v1/revoke until every guard refuses', run: propagation }],
])

const USAGE = `Usage: npm run bench -- [NAME…] [--no-peers] [--quick] [--results DIR]

${[...BENCHMARKS].map(([name, { about }]) => `  ${name.padEnd(14)}${about}`).join('\n')}

Without a name all of them run. --no-peers leaves out what would have to be installed; --quick tries everything in
tiny sizes, which takes some minutes for all, and its numbers mean nothing; --results names a folder in place of
bench/results. bench/README.md says what is measured and how.`

const QUICK = '--quick: everything was tried in tiny sizes; these numbers mean nothing'

const OPTIONS = {
  quick: { type: 'boolean' },
  'no-peers': { type: 'boolean' },
  results: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const

async function runOne(name: string, options: BenchOptions, folder: string) {
  const benchmark = BENCHMARKS.get(name)
  if (!benchmark) return
  const machine = describeMachine()
  const measured = await benchmark.run(options)
  options.progress.clear()
  const notes = options.quick ? [QUICK, ...measured.notes] : measured.notes
  const file = saveResults(folder, { name, machine, rows: measured.rows, notes })
  const { cpu, cores, memory, os, node, date } = machine
  const about = `${name}: ${cpu}, ${cores} cores, ${memory}, ${os}, Node ${node}, ${date}`
  process.stdout.write(`${about}\n\n${table(measured.rows)}\n\n`)
  for (const note of notes) process.stdout.write(`- ${note}\n`)
  process.stdout.write(`- written to ${file}\n\n`)
}

async function main(): Promise<number> {
  let given: ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>>
  try {
    given = parseArgs({ options: OPTIONS, allowPositionals: true })
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}\n`)
    return 2
  }
  const { values, positionals } = given
  if (values.help) {
    process.stdout.write(`${USAGE}\n`)
    return 0
  }
  const unknown = positionals.find((name) => !BENCHMARKS.has(name))
  if (unknown !== undefined) {
    process.stderr.write(`There is no benchmark "${unknown}".\n\n${USAGE}\n`)
    return 2
  }
  const { quick = false, results = join(import.meta.dirname, 'results', values.quick ? 'quick' : '') } =
    values
  const options = { quick, peers: !values['no-peers'], progress: createProgress() }
  const names = positionals.length > 0 ? new Set(positionals) : BENCHMARKS.keys()
  for (const name of names) await runOne(name, options, results)
  const { all, picture, compared } = combine(results)
  // Of one benchmark it was all said above.
  if (positionals.length !== 1) process.stdout.write(`all of them:\n\n${table(compared)}\n\n`)
  process.stdout.write(`- all results are in ${all}, as a picture in ${picture}\n`)
  return 0
}

// Whatever was started goes when this process exits.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))
process.exitCode = await main()
