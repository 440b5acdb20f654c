import { request } from 'node:http'
import { createRequire } from 'node:module'
import { runInNewContext } from 'node:vm'
import type * as Mobile from '@rescind/client/react-native'
import { buildSync } from 'esbuild'

/*
 * The client as a phone runs it: with the language, with timers, and with what React Native brings, which are these very
 * packages on its own XMLHttpRequest. Nothing else of a browser or of Node is there.
 */

const require = createRequire(import.meta.url)
const LANGUAGE = new Set<string>(runInNewContext('Object.getOwnPropertyNames(globalThis)'))
/** What React Native has, and these packages don’t bring. */
const BROUGHT = { setTimeout, clearTimeout, queueMicrotask, console, URLSearchParams }

/** Runs a script that sees these globals, and no others. */
function run(code: string, globals: Record<string, unknown>): Record<string, unknown> {
  const foreign = Object.getOwnPropertyNames(globalThis).filter((name) => !LANGUAGE.has(name))
  const names = [...new Set(['globalThis', ...foreign, ...Object.keys(globals)])]
  const module = { exports: {} as Record<string, unknown> }
  const values = names.map((name) => (name === 'globalThis' ? globals : globals[name]))
  new Function('module', 'exports', ...names, code)(module, module.exports, ...values)
  return module.exports
}

const bundled = (entry: string) =>
  buildSync({
    ...{ entryPoints: [entry], bundle: true, write: false, format: 'cjs', target: 'es2022' },
    absWorkingDir: `${import.meta.dirname}/../..`,
  }).outputFiles[0]?.text ?? ''

/** As much of React Native’s as its `fetch` uses. */
class XMLHttpRequest {
  status = 0
  statusText = ''
  responseType = ''
  readyState = 0
  responseURL = ''
  response: ArrayBuffer | undefined
  onload() {}
  onerror() {}
  onabort() {}
  onreadystatechange() {}
  private headers: Record<string, string> = {}
  private answered = ''
  private sent: ReturnType<typeof request> | undefined
  private method = ''

  open(method: string, url: string) {
    this.method = method
    this.responseURL = url
  }
  setRequestHeader(name: string, value: string) {
    this.headers[name] = value
  }
  getAllResponseHeaders() {
    return this.answered
  }
  send(body: string | null) {
    const { method, headers } = this
    this.sent = request(this.responseURL, { method, headers }, async (answer) => {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of answer) chunks.push(chunk)
      } catch {
        return this.over(this.onerror)
      }
      const whole = Buffer.concat(chunks)
      this.response = whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length) as ArrayBuffer
      this.status = answer.statusCode ?? 0
      const { rawHeaders: raw } = answer
      this.answered = raw.flatMap((name, n) => (n % 2 ? [] : [`${name}: ${raw[n + 1]}`])).join('\r\n')
      this.over(this.onload)
    })
    this.sent.on('error', () => this.over(this.onerror))
    this.sent.end(body ?? undefined)
  }
  abort() {
    this.over(this.onabort)
    this.sent?.destroy()
  }
  private over(tell: () => void) {
    if (this.readyState === 4) return
    this.readyState = 4
    this.onreadystatechange()
    tell()
  }
}

function loadOnPhone(): typeof Mobile {
  const { AbortController, AbortSignal } = require('abort-controller/dist/abort-controller')
  const globals: Record<string, unknown> = {
    ...BROUGHT,
    XMLHttpRequest,
    AbortController,
    AbortSignal,
    ArrayBuffer,
  }
  const { fetch, Headers, Request, Response } = run(bundled('whatwg-fetch'), globals)
  Object.assign(globals, { fetch, Headers, Request, Response })
  return run(bundled('packages/client/src/react-native.ts'), globals) as typeof Mobile
}

export const mobile = loadOnPhone()
