// Breaks a whole deployment under load, again and again, and checks that nothing that was promised was broken with it.
// `npm run test:faults -- --seconds 300 --seed 1`, with `--replica` for fail-overs to a replica.
import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { lineOf } from './history.ts'
import { runTrial } from './trial.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '300' },
    seed: { type: 'string' },
    processes: { type: 'string', default: '3' },
    devices: { type: 'string', default: '12' },
    replica: { type: 'boolean', default: false },
    history: { type: 'string' },
  },
})
const seed = Number(values.seed ?? randomInt(1_000_000))
const { replica } = values
const [seconds, processes, devices] = [values.seconds, values.processes, values.devices].map(Number) as [
  number,
  number,
  number,
]
const MOST_SHOWN = 20

const print = (line: string) => process.stdout.write(`${line}\n`)
print(`Seed ${seed}, ${seconds} s, ${processes} processes, ${devices} devices${replica ? ', a replica' : ''}`)
const trial = await runTrial({ seed, seconds, processes, devices, replica, people: 4 }, print)
for (const line of trial.report) print(line)
if (values.history !== undefined)
  writeFileSync(values.history, trial.entries.map((one) => `${lineOf(one)}\n`).join(''))
for (const { rule, entries } of trial.violations.slice(0, MOST_SHOWN)) {
  print(`VIOLATED: ${rule}`)
  for (const entry of entries) print(`  ${lineOf(entry)}`)
}
print(
  trial.violations.length === 0
    ? `Nothing was violated. ${trial.entries.length} requests and checks; seed ${seed}`
    : `${trial.violations.length} violations; seed ${seed}; the processes wrote into ${trial.folder}`,
)
process.exit(trial.violations.length === 0 ? 0 : 1)
