import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import type { Store } from './store/store.ts'

/*
 * What the processes of one authority say to each other. Nothing that must not be lost goes this way, and nothing that a log of
 * the database may not hold.
 */

/** How often each says that it is there, and for how long it is believed, in ms. */
const HELLO = 1_000
const THERE = 3_500
/** On top of what an answer may take, for the way, in ms. */
const WAY = 300
/** A message of a database has at most 8,000 bytes; quotation marks in it take two. */
const PART = 3_500
const MOST_PARTS = 128
const MOST_UNFINISHED = 1_000

const envelope = z.object({
  from: z.string().max(40),
  id: z.string().max(40),
  kind: z.string().max(40),
  /** An answer to the message of this id. */
  to: z.string().max(40).optional(),
  part: z.int().min(0).max(MOST_PARTS).default(0),
  parts: z.int().min(1).max(MOST_PARTS).default(1),
  text: z.string(),
})
type Envelope = z.infer<typeof envelope>

export type Processes = {
  /** Says something to all others. */
  tell(kind: string, body: unknown): void
  hear(kind: string, listener: (body: unknown) => void): void
  /**
   * Asks all others.
   * @returns what was answered within `ms`, and what those said of themselves last who did not answer
   */
  ask(kind: string, body: unknown, ms: number): Promise<{ answers: unknown[]; silent: unknown[] }>
  answer(kind: string, how: (body: unknown) => Promise<unknown>): void
  close(): void
}

type Question = { answers: unknown[]; open: Set<string>; done: () => void }

/** @param describe what this process says of itself, each second */
export function createProcesses(store: Store, describe: () => unknown): Processes {
  const others = new Map<string, { heardAt: number; hello: unknown }>()
  const listeners = new Map<string, (body: unknown, message: Envelope) => void>()
  const questions = new Map<string, Question>()
  const send = createWire(store, (message) => {
    const body = parsed(message.text)
    const { kind, from, to } = message
    if (kind === 'hello') meet(from, body)
    else if (kind === 'bye') others.delete(from)
    else if (to === undefined) listeners.get(kind)?.(body, message)
    else take(questions.get(to), from, body)
  })
  function meet(from: string, hello: unknown) {
    const known = others.has(from)
    others.set(from, { heardAt: performance.now(), hello })
    if (!known) send('hello', describe())
  }
  function take(question: Question | undefined, from: string, body: unknown) {
    if (!question?.open.delete(from)) return
    question.answers.push(body)
    if (question.open.size === 0) question.done()
  }
  function present(): string[] {
    const now = performance.now()
    for (const [id, { heardAt }] of others) if (now - heardAt > THERE) others.delete(id)
    return [...others.keys()]
  }
  const hello = setInterval(() => send('hello', describe()), HELLO)
  hello.unref()
  send('hello', describe())

  return {
    tell: (kind, body) => send(kind, body),
    hear: (kind, listener) => void listeners.set(kind, listener),
    async ask(kind, body, ms) {
      const open = new Set(present())
      if (open.size === 0) return { answers: [], silent: [] }
      const id = newId()
      const { promise, resolve } = Promise.withResolvers<void>()
      const question = { answers: [] as unknown[], open, done: resolve }
      questions.set(id, question)
      const late = setTimeout(resolve, ms + WAY)
      send(kind, body, undefined, id)
      await promise
      clearTimeout(late)
      questions.delete(id)
      return { answers: question.answers, silent: [...open].map((one) => others.get(one)?.hello) }
    },
    answer(kind, how) {
      listeners.set(kind, (body, { id }) => {
        how(body).then(
          (answer) => send(kind, answer, id),
          // Whoever asked counts us as silent.
          () => {},
        )
      })
    },
    close() {
      clearInterval(hello)
      send('bye', null)
    },
  }
}

/** Sends messages, in parts where they are long, and hands on those of others. */
function createWire(store: Store, hear: (message: Envelope) => void) {
  const own = newId()
  const join = createJoining()
  store.onMessage((message) => {
    const read = envelope.safeParse(parsed(message))
    const whole = read.success ? join(read.data) : undefined
    if (whole) hear(whole)
  })
  return (kind: string, body: unknown, to?: string, id = newId()) => {
    const text = asciiJson(body)
    const parts = Math.max(1, Math.ceil(text.length / PART))
    if (parts > MOST_PARTS) return
    for (let part = 0; part < parts; part++) {
      const piece = text.slice(part * PART, (part + 1) * PART)
      store.tellOthers(JSON.stringify({ from: own, id, kind, to, part, parts, text: piece }))
    }
  }
}

/** Puts the parts of a message together; they come in order, or not at all. */
function createJoining() {
  const unfinished = new Map<string, string[]>()
  return (message: Envelope): Envelope | undefined => {
    if (message.parts === 1) return message
    const key = `${message.from} ${message.id}`
    const texts = unfinished.get(key) ?? []
    texts[message.part] = message.text
    unfinished.set(key, texts)
    const [oldest] = unfinished.keys()
    if (unfinished.size > MOST_UNFINISHED && oldest !== undefined) unfinished.delete(oldest)
    if (texts.filter((text) => text !== undefined).length < message.parts) return undefined
    unfinished.delete(key)
    return { ...message, text: texts.join('') }
  }
}

function newId(): string {
  return randomBytes(9).toString('base64url')
}

/** One byte a character, so that a message can be cut anywhere. */
function asciiJson(body: unknown): string {
  const text = JSON.stringify(body ?? null)
  return text.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
