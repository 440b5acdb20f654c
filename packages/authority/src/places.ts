import { plain } from './plain.ts'

/** Says where an IP address is, as people say it ("Berlin, Germany"); nothing when it does not know. */
export type Locate = (ip: string) => string | undefined | Promise<string | undefined>

const NOWHERE = 'unknown'
/** A sign-in waits no longer for it, in ms. */
const PATIENCE = 200
const MAX_PLACE = 80

/** Where an address is, as far as the deployment's own hook says so in time. Never fails. */
export async function placeOf(locate: Locate | undefined, ip: string): Promise<string> {
  if (!locate) return NOWHERE
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE)
  })
  try {
    const place = await Promise.race([(async () => locate(ip))(), late])
    return (typeof place === 'string' && plain(place, MAX_PLACE)) || NOWHERE
  } catch {
    return NOWHERE
  } finally {
    clearTimeout(timer)
  }
}
