import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

export const CLI = join(import.meta.dirname, '../packages/authority/src/cli.js')

export type Outcome = { status: number; stdout: string; stderr: string }

/** Runs a command on the data of an authority, in a process of its own. */
export function rescind(args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const options = { env: { ...process.env, ...env }, maxBuffer: 256 * 1024 * 1024 }
  return promisify(execFile)(process.execPath, [CLI, ...args], options).then(
    (output) => ({ status: 0, ...output }),
    (failed) => ({ status: failed.code, stdout: failed.stdout, stderr: failed.stderr }),
  )
}

/** What a command says that has to work. */
export async function done(args: string[], env: Record<string, string> = {}): Promise<string> {
  const { status, stdout, stderr } = await rescind(args, env)
  if (status !== 0) throw new Error(`rescind ${args.join(' ')}: ${status} ${stderr}`)
  return stdout
}
