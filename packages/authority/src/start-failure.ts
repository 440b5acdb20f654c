/**
 * Why a server could not listen, and what to do about it, for whoever started it.
 * @param error what the start threw
 * @returns nothing when the error is about something else
 */
export function startFailure(error: unknown): string | undefined {
  const { code, syscall, address, hostname, port } = error as NodeJS.ErrnoException & {
    address?: string
    hostname?: string
    port?: number
  }
  const where = `${address?.includes(':') ? `[${address}]` : address}:${port}`
  if (syscall === 'getaddrinfo') return `There is no address for the host ${hostname}. Name another: --host.`
  if (syscall !== 'listen') return undefined
  switch (code) {
    case 'EADDRINUSE':
      return `${where} is in use by another program. Stop that one, or name another port: --port.`
    case 'EADDRNOTAVAIL':
      return `${where} is no address of this machine. Name another: --host.`
    case 'EACCES':
      return `${where} is not open to this user. Name a port above 1023: --port.`
    default:
      return `${where} can’t be listened on (${code}).`
  }
}
