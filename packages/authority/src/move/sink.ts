import { fsync, rmSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { RescindError } from '../errors.ts'

/** Where an export goes. */
export type Sink = {
  write(text: string): Promise<void>
  /** Resolves when all of it is on disk. */
  finish(): Promise<void>
  /** Leaves nothing half done behind. */
  abandon(): Promise<void>
}

function failed({ code, message }: NodeJS.ErrnoException): never {
  const why = code === 'EPIPE' ? 'whoever read it has gone' : code === 'ENOSPC' ? 'the disk is full' : message
  throw new RescindError('UNAVAILABLE', `The export can’t be written: ${why}. It is not whole.`)
}

/**
 * A file for this user only. Under its name it is there whole, or not at all.
 * @throws RescindError UNAVAILABLE, as do all that it does
 */
export async function fileSink(path: string): Promise<Sink> {
  const partial = `${path}.${process.pid}.part`
  const handle = await open(partial, 'wx', 0o600).catch(failed)
  const stop = () => {
    rmSync(partial, { force: true })
    process.exit(1)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  return {
    write: (text) => handle.appendFile(text).catch(failed),
    async finish() {
      await handle.sync().catch(failed)
      await handle.close().catch(failed)
      await rename(partial, path).catch(failed)
      // The name is on disk too; some systems can’t sync a directory.
      const folder = await open(dirname(path), 'r').catch(() => undefined)
      await folder?.sync().catch(() => {})
      await folder?.close()
    },
    async abandon() {
      await handle.close().catch(() => {})
      await rm(partial, { force: true })
    },
  }
}

/** What the command prints: a file that a shell made, or a pipe. */
export function outputSink(): Sink {
  const { stdout } = process
  // For other commands a reader that goes away has seen enough; here it has half of a store.
  stdout.removeAllListeners('error').on('error', () => {})
  return {
    write: (text) =>
      new Promise<void>((resolve, reject) => {
        stdout.write(text, (error) => (error ? reject(error) : resolve()))
      }).catch(failed),
    async finish() {
      await promisify(fsync)(stdout.fd).catch((error) => {
        // A pipe has no disk.
        if (error.code !== 'EINVAL' && error.code !== 'EROFS' && error.code !== 'ENOTSUP') failed(error)
      })
    },
    abandon: async () => {},
  }
}
