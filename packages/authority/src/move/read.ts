import { RescindError } from '../errors.ts'
import { AT_ONCE, type Dialect, type Kind, type Row, TABLES } from '../store/moving.ts'
import { type Counts, FORMAT, type Header, type Layout, readRow, type Trailer, VERSION } from './format.ts'
import { type End, linesOf } from './lines.ts'

/** Rows that are handed on at once are of so many characters at most, or one. */
const MOST = 4 * 1024 * 1024

/** Rows of one table, in the order of the file. */
export type Part = { layout: Layout; rows: Row[]; through: number }

/**
 * Reads an export: its header, its rows some at a time, and at its end how many there were, once it is certain that the file is
 * whole. Whoever stores rows before that must be able to take it back.
 * @param schemas the newest one of each dialect that is known here
 * @throws RescindError VALIDATION_ERROR (no export, of a newer Rescind, cut off, changed), NOT_FOUND (no file)
 */
export async function* readExport(
  path: string,
  schemas: Record<Dialect, number>,
  onHeader: (header: Header) => void,
): AsyncGenerator<Part, Counts> {
  const lines = linesOf(path)
  const counts: Counts = {}
  let layouts: Map<string, Layout> | undefined
  let part: (Part & { size: number }) | undefined
  let n = 0
  try {
    for (;;) {
      const { value, done } = await lines.next().catch((error) => refuseFile(path, error))
      if (done) {
        if (part) yield part
        checkEnd(value, counts, layouts !== undefined)
        return counts
      }
      for (const text of value) {
        n++
        if (!layouts) {
          const header = readHeader(text, schemas)
          layouts = layoutsOf(header)
          onHeader(header)
          continue
        }
        const { layout, row } = readLine(text, n, layouts, part?.layout)
        if (part && (part.layout !== layout || part.rows.length >= AT_ONCE || part.size >= MOST)) {
          yield part
          part = undefined
        }
        part ??= { layout, rows: [], through: n, size: 0 }
        part.rows.push(row)
        part.size += text.length
        part.through = n
        counts[layout.table.name] = (counts[layout.table.name] ?? 0) + 1
      }
    }
  } finally {
    // Whoever has seen enough leaves no open file behind.
    await lines.return({ last: '', sha256: '' })
  }
}

function refuseFile(path: string, error: NodeJS.ErrnoException): never {
  if (error.code === 'ENOENT') throw new RescindError('NOT_FOUND', `There is no file ${path}.`)
  throw refused(`${path} can’t be read: ${error.message}`)
}

/** Every refusal ends alike: whoever reads it knows where they are. */
function refused(why: string): RescindError {
  return new RescindError('VALIDATION_ERROR', `${why}. Nothing was imported.`)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readHeader(text: string, schemas: Record<Dialect, number>): Header {
  const header = parsed(text) as Header | undefined
  if (header?.format !== FORMAT) throw refused('This is no export of Rescind')
  if ((header.version as number) > VERSION) throw newer(`format ${header.version}`)
  const known = schemas[header.dialect]
  if (known === undefined) throw newer(`a store of another kind, ${header.dialect}`)
  if (header.schema > known) throw newer(`schema ${header.schema} of ${header.dialect}`)
  return header
}

function newer(what: string): RescindError {
  return refused(`This was exported by a newer Rescind (${what}); upgrade Rescind to import it`)
}

function layoutsOf({ tables }: Header): Map<string, Layout> {
  const layouts = new Map<string, Layout>()
  for (const [name, columns] of Object.entries(tables ?? {})) {
    const table = TABLES.find((one) => one.name === name)
    const unknown = columns.find((column) => !Object.hasOwn(table?.columns ?? {}, column))
    if (!table || unknown !== undefined) throw newer(`${name} ${unknown ?? ''}`.trim())
    const kinds = columns.map((column) => table.columns[column] as Kind)
    layouts.set(name, { table, columns, kinds })
  }
  return layouts
}

function readLine(text: string, n: number, layouts: Map<string, Layout>, before: Layout | undefined) {
  const line = parsed(text)
  const layout = Array.isArray(line) ? layouts.get(line[0]) : undefined
  const row = layout && readRow(layout, line as unknown[])
  const place = layout ? TABLES.indexOf(layout.table) : -1
  if (!layout || !row || (before && place < TABLES.indexOf(before.table)))
    throw refused(`Line ${n} is not what was exported: the file was changed, or is damaged. Export it again`)
  return { layout, row }
}

function checkEnd({ last, sha256 }: End, counts: Counts, begun: boolean) {
  const trailer = parsed(last) as Trailer | undefined
  if (!begun && !last.startsWith(`{"format":"${FORMAT}"`)) throw refused('This is no export of Rescind')
  if (!last.endsWith('\n') || typeof trailer?.end !== 'object')
    throw refused('The file is cut off: its last line is not that of an export. Export it again')
  const { rows } = trailer.end
  const same = TABLES.every(({ name }) => (rows?.[name] ?? 0) === (counts[name] ?? 0))
  if (trailer.end.sha256 !== sha256 || !same)
    throw refused(
      'The file is not what was exported: it does not hash to what its last line says. Export it again',
    )
}
