/** Says what is going on, on a terminal; in a pipe nothing. */
export type Progress = { say(what: string): void; clear(): void }

export function createProgress(out: NodeJS.WriteStream = process.stderr): Progress {
  if (!out.isTTY) return { say() {}, clear() {} }
  const startedAt = performance.now()
  const line = (text: string) => out.write(`\r\x1b[2K${text.slice(0, Math.max(20, (out.columns ?? 80) - 1))}`)
  return {
    say: (what) => void line(`${((performance.now() - startedAt) / 1000).toFixed(0)} s  ${what}…`),
    clear: () => void line(''),
  }
}
