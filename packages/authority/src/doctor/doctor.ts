import { type Config, ConfigError } from '../config.ts'
import { openData } from '../open-data.ts'
import { checkAudit } from './audit.ts'
import { compareClocks } from './clock.ts'
import { checkDatabase, type Looked } from './database.ts'
import { checkDirectory, checkDisk } from './directory.ts'
import { type Finding, fail, ok, reason } from './finding.ts'
import { checkGuards } from './guards.ts'
import { checkIssuer } from './issuer.ts'
import { checkKeys, checkMasterKey } from './keys.ts'
import { checkMail, checkWebhooks } from './outside.ts'

/**
 * `rescind doctor`: looks at all that an authority needs and changes none of it; says what to mend.
 * @param configure reads the configuration
 * @returns whether nothing failed; warnings are no failure
 */
export async function doctor(
  configure: () => Config,
  options: { json: boolean; actor: string },
  print: (line: string) => Promise<void> | void,
): Promise<boolean> {
  const findings: Finding[] = []
  for await (const finding of examine(configure, options.actor)) {
    findings.push(finding)
    if (!options.json) await print(`${finding.level.padEnd(4)}  ${finding.check}: ${finding.says}`)
  }
  const healthy = findings.every(({ level }) => level !== 'fail')
  if (options.json) await print(JSON.stringify({ healthy, findings }))
  return healthy
}

async function* examine(configure: () => Config, actor: string): AsyncGenerator<Finding> {
  let config: Config
  try {
    config = configure()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const line of error.message.split('\n')) yield fail('configuration', line)
    return
  }
  yield ok('configuration', 'It can be used.')
  const { issuer } = config
  const asked = Date.now()
  const { findings, date } = await checkIssuer(config)
  yield* findings
  if (date !== undefined) yield compareClocks(issuer, date, (asked + Date.now()) / 2, 1_000)
  const looked = config.store === undefined ? checkDirectory(config.data) : await checkDatabase(config.store)
  yield* looked.findings
  yield* withData(config, looked, actor)
  yield* await checkMail(config)
  yield* await checkWebhooks(config)
  yield attempt('disk', () => checkDisk(config.data))
}

/** What can only be said of data that is there, of this version, and whose master key is there. */
async function* withData(config: Config, { current, empty }: Looked, actor: string): AsyncGenerator<Finding> {
  // Of what can't be reached nothing is known.
  if (!current && !empty) return
  const key = checkMasterKey(config, empty)
  yield key
  // To open it would make it, or bring it up to date.
  if (!current || key.level === 'fail') return
  try {
    const { store, seal } = await openData(config, { serving: false, existing: true })
    try {
      yield* await checkKeys(store, seal, Date.now())
      yield await checkAudit(store)
      yield* await checkGuards({ config, store, seal, actor })
    } finally {
      await store.close()
    }
  } catch (error) {
    yield fail('data', `The data can’t be read: ${reason(error)}.`)
  }
}

function attempt(check: string, work: () => Finding): Finding {
  try {
    return work()
  } catch (error) {
    return fail(check, `It can’t be looked at: ${reason(error)}.`)
  }
}
