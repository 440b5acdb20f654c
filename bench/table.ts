import type { Peer, Row } from './results.ts'

/** A number for people: the digits that matter, thousands with commas. */
export function readable(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.1) return value.toPrecision(2)
  const digits = Number.isInteger(value) || Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function ratioOf({ ratio }: Row): string {
  if (ratio === undefined) return ''
  return `${readable(ratio)} ×`
}

function peerOf(peer: Peer | undefined): string {
  return peer ? `${readable(peer.value)} (${peer.spread})  ${peer.name}` : ''
}

/** The rows of a benchmark as text, a column for each thing that is said. */
export function table(rows: Row[]): string {
  const head = ['', 'here', 'spread', 'target', 'ratio', 'peer']
  const cells = rows.map((row) => [
    row.what,
    `${readable(row.value)} ${row.unit}`,
    row.spread,
    row.target ?? '',
    ratioOf(row),
    peerOf(row.peer),
  ])
  const widths = head.map((name, column) =>
    Math.max(name.length, ...cells.map((line) => (line[column] as string).length)),
  )
  const write = (line: string[]) =>
    line
      .map((cell, column) =>
        column === 1 ? cell.padStart(widths[1] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join('   ')
      .trimEnd()
  return [write(head), ...cells.map(write)].join('\n')
}
