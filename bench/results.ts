import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'

/** What the same work takes with somebody else's library. */
export type Peer = { name: string; configuration: string; value: number; spread: string }

export type Row = {
  what: string
  value: number
  unit: string
  /** The smallest and the largest of what the value is the median of; the notes say so where it is something else. */
  spread: string
  peer?: Peer
  /** Here divided by there. */
  ratio?: number
  target?: string
}

/** A row that is no measurement: how many were right, of how many. */
export function counted(what: string, value: number, of: number, unit = ''): Row {
  return { what, value, unit, spread: 'a count', target: `= ${of.toLocaleString('en-US')}` }
}

export type Machine = { cpu: string; cores: number; memory: string; os: string; node: string; date: string }
export type Results = { name: string; machine: Machine; notes: string[]; rows: Row[] }

export function describeMachine(): Machine {
  const [first] = cpus()
  return {
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    os: `${distribution()}${type()} ${release()}`,
    node: process.version,
    date: new Date().toISOString(),
  }
}

function distribution(): string {
  try {
    const [, name] = /^PRETTY_NAME="?(.*?)"?$/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? []
    return name ? `${name}, ` : ''
  } catch {
    return ''
  }
}

/** @returns where the results went @throws Error when something was not measured */
export function saveResults(folder: string, results: Results): string {
  const missing = results.rows.find(({ value, peer }) => ![value, peer?.value ?? 0].every(Number.isFinite))
  if (missing) throw new Error(`not measured: ${missing.what}`)
  mkdirSync(folder, { recursive: true })
  const file = join(folder, `${results.name}.json`)
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
  return file
}
