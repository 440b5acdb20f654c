import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { readConfig } from '../packages/authority/src/config.ts'

/* What can be said of the images and their examples without an engine that builds them. */

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const KEY = Buffer.alloc(32, 1).toString('base64url')
const STORE = 'postgres://rescind:secret@database/rescind'

/** The configuration as an authority reads it there. */
function configOf(file: string, environment: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), 'rescind-container-'))
  const path = join(folder, 'rescind.json')
  writeFileSync(path, file)
  try {
    return readConfig({}, { RESCIND_CONFIG: path, ...environment })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('the image', () => {
  const dockerfile = read('Dockerfile')
  const instructions = dockerfile.replaceAll('\\\n', ' ').split('\n')

  it('copies files that are there, and that it is given', () => {
    const given = read('.dockerignore').split('\n')
    const copied = instructions.flatMap((line) =>
      /^COPY (?!--from)/.test(line) ? line.split(' ').slice(1, -1) : [],
    )
    assert.ok(copied.length >= 6)
    for (const path of copied) {
      assert.ok(existsSync(join(root, path)), path)
      assert.ok(given.includes(`!${path}`), `${path} is left out by .dockerignore`)
    }
  })

  it('has the Node that is pinned, all that the authority imports of ours, and no root', () => {
    const { devDependencies } = JSON.parse(read('package.json'))
    for (const [, version] of dockerfile.matchAll(/^FROM node:([\d.]+)-slim/gm))
      assert.equal(version, devDependencies.node)
    const { dependencies } = JSON.parse(read('packages/authority/package.json'))
    for (const name of Object.keys(dependencies).filter((one) => one.startsWith('@rescind/')))
      assert.match(dockerfile, new RegExp(`COPY packages/${name.slice(9)}/src `), name)
    assert.match(dockerfile, /^USER node$/m)
    const entry = JSON.parse(`${/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1]}`) as string[]
    assert.ok(existsSync(join(root, `${entry[1]}`)))
    assert.match(dockerfile, /^HEALTHCHECK .*\/healthz/m)
    for (const [, script = ''] of dockerfile.matchAll(/npm run ([\w:-]+)/g))
      assert.ok(JSON.parse(read('package.json')).scripts[script], script)
  })
})

describe('compose.yaml', () => {
  const { services, volumes } = parse(read('compose.yaml'), { merge: true })

  it('has two authorities whose settings can be used', () => {
    const [one, two] = [services['authority-1'], services['authority-2']]
    assert.deepEqual(one, two)
    const environment = {
      ...Object.fromEntries(Object.entries(one.environment).filter(([name]) => name !== 'RESCIND_CONFIG')),
      ...{ RESCIND_STORE: STORE, RESCIND_MASTER_KEY: KEY },
    } as Record<string, string>
    const config = configOf(read('examples/compose/authority.json'), environment)
    assert.equal(config.trustProxy, true)
    assert.equal(config.issuer, 'http://localhost:8080')
    for (const service of Object.values(services) as { volumes: string[] }[]) {
      for (const [from = ''] of service.volumes.map((volume) => volume.split(':')))
        assert.ok(from.startsWith('./') ? existsSync(join(root, from)) : from in volumes, from)
    }
  })

  it('has a front that knows both', () => {
    const nginx = read('examples/compose/nginx.conf')
    for (const [, name = ''] of nginx.matchAll(/server ([\w-]+):4600/g)) assert.ok(name in services, name)
    assert.equal([...nginx.matchAll(/server [\w-]+:4600/g)].length, 2)
  })
})

describe('examples/kubernetes.yaml', () => {
  const documents = parseAllDocuments(read('examples/kubernetes.yaml'))
  const all = documents.map((one) => one.toJS())
  const of = (kind: string) => all.find((one) => one.kind === kind)

  it('has settings that can be used, probes of what is served, and time to stop', () => {
    for (const { errors } of documents) assert.deepEqual(errors, [])
    const config = configOf(of('ConfigMap').data['rescind.json'], {
      ...{ RESCIND_STORE: STORE, RESCIND_MASTER_KEY: KEY },
    })
    const { spec } = of('Deployment').spec.template
    const [container] = spec.containers
    assert.equal(container.livenessProbe.httpGet.path, '/healthz')
    assert.equal(container.readinessProbe.httpGet.path, '/readyz')
    assert.ok(spec.terminationGracePeriodSeconds > config.shutdown.delaySeconds + 10)
    assert.deepEqual(of('PodDisruptionBudget').spec.selector, of('Deployment').spec.selector)
    assert.deepEqual(of('Service').spec.selector, of('Deployment').spec.selector.matchLabels)
    const names = container.env.flatMap((one: { valueFrom?: { secretKeyRef: { key: string } } }) =>
      one.valueFrom ? [one.valueFrom.secretKeyRef.key] : [],
    )
    assert.deepEqual(names, ['store', 'masterKey'])
    assert.equal(spec.enableServiceLinks, false, 'RESCIND_PORT=tcp://… is no setting')
  })
})
