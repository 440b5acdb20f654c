import type { Violation } from './check.ts'
import type { Final } from './final.ts'

/** The log has no gaps, each revocation has its audit record, the chain is whole, and guards heard all in order. */
export function brokenLog({ log, head, audited, chain, guards }: Final): Violation[] {
  const found: Violation[] = []
  const say = (rule: string) => found.push({ rule, entries: [] })
  log.forEach(({ seq }, index) => {
    if (seq !== index + 1 && (index === 0 || log[index - 1]?.seq !== seq - 1))
      say(`the log goes on with ${seq} after ${log[index - 1]?.seq ?? 'nothing'}`)
  })
  if (head !== (log.at(-1)?.seq ?? 0)) say(`the log ends with ${log.at(-1)?.seq} and its head is ${head}`)
  const records = Map.groupBy(audited, (seq) => seq)
  for (const { seq } of log) {
    const count = records.get(seq)?.length ?? 0
    if (count !== 1) say(`revocation ${seq} has ${count} audit records`)
    records.delete(seq)
  }
  for (const seq of records.keys()) say(`the audit log has a revocation ${seq} that the log does not have`)
  if (chain !== undefined) say(`the audit chain is not whole: ${chain}`)
  for (const { guard, heard, seq } of guards) {
    const seen = new Set<number>()
    let newest = 0
    for (const one of heard) {
      // Hearing twice does no harm.
      if (one < newest && !seen.has(one)) say(`${guard} heard ${one} after ${newest}`)
      seen.add(one)
      newest = Math.max(newest, one)
    }
    if (seq > head) say(`${guard} says it knows ${seq}, and the log ends with ${head}`)
  }
  return found
}
