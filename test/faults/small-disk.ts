import { spawnSync } from 'node:child_process'
import { chownSync, closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { NOBODY } from '../postgres.ts'

/** A file system that can be filled. */
export type SmallDisk = {
  /** A folder on it that the database may use. */
  folder: string
  fill(): void
  free(): void
  unmount(): void
}

const SIZE = 96

/** Mounts one at `path`. @returns nothing where that is not allowed */
export function mountSmallDisk(path: string): SmallDisk | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined
  mkdirSync(path, { recursive: true, mode: 0o755 })
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}m,mode=755`, 'tmpfs', path])
  if (status !== 0) return undefined
  const folder = join(path, 'tables')
  const ballast = join(path, 'ballast')
  mkdirSync(folder, { mode: 0o700 })
  chownSync(folder, NOBODY, NOBODY)
  const free = () => rmSync(ballast, { force: true })
  return {
    folder,
    free,
    fill() {
      const file = openSync(ballast, 'w')
      try {
        for (let size = 1 << 20; size >= 4096; ) {
          try {
            writeSync(file, Buffer.alloc(size, 1))
          } catch {
            size /= 2
          }
        }
      } finally {
        closeSync(file)
      }
    },
    unmount() {
      free()
      spawnSync('umount', ['-l', path])
    },
  }
}
