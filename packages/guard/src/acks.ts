/** Acknowledgements go out when nothing came for this long, in ms, and in any case after the second. */
const QUIET = 1
const PATIENCE = 20

/*
 * One for all guards of this process, because they share its time: applying comes first, and saying so after. Many
 * messages in a row get one acknowledgement.
 */
const waiting = new Set<() => void>()
let since = 0
let taken = 0

/** Calls `send` soon: once, however often it is given meanwhile. */
export function acknowledgeSoon(send: () => void): void {
  taken++
  if (waiting.size === 0) {
    since = performance.now()
    setTimeout(look, QUIET, taken)
  }
  waiting.add(send)
}

function look(before: number) {
  if (taken !== before && performance.now() - since < PATIENCE) {
    setTimeout(look, QUIET, taken)
    return
  }
  const all = [...waiting]
  waiting.clear()
  for (const send of all) send()
}
