import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chart } from './chart.ts'
import type { Results, Row } from './results.ts'

const ALL = 'all.json'

/** Whatever was measured into a folder, by name; each may be of another day. */
export function readResults(folder: string): Results[] {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json') && file !== ALL)
  return files.sort().map((file) => {
    const read = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Results
    return { ...read, name: file.slice(0, -'.json'.length) }
  })
}

/** Writes `all.json` and `chart.svg` of all that is in a folder. @returns where, and the rows that can be held against something */
export function combine(folder: string): { all: string; picture: string; compared: Row[] } {
  const results = readResults(folder)
  const all = join(folder, ALL)
  const picture = join(folder, 'chart.svg')
  writeFileSync(all, `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(picture, chart(results))
  const compared = results.flatMap(({ name, rows }) =>
    rows
      .filter(({ peer, ratio, target }) => peer ?? ratio ?? target)
      .map((row) => ({ ...row, what: `${name}: ${row.what}` })),
  )
  return { all, picture, compared }
}
