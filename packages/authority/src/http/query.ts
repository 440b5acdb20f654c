import { RescindError } from '../errors.ts'

/**
 * Reads the parameters of a query: a filter that is misspelt must not list everything.
 * @throws RescindError VALIDATION_ERROR
 */
export function readQuery<Name extends string>(
  { searchParams }: URL,
  names: Name[],
): { [name in Name]?: string } {
  for (const name of searchParams.keys()) {
    if (!(names as string[]).includes(name))
      throw new RescindError('VALIDATION_ERROR', `Unknown filter. Known: ${names.join(', ')}.`)
    if (searchParams.getAll(name).length > 1 || !searchParams.get(name)) throw wrongQuery(name, 'one value')
  }
  return Object.fromEntries(searchParams) as { [name in Name]?: string }
}

export function wrongQuery(name: string, allowed: string): RescindError {
  return new RescindError('VALIDATION_ERROR', `\`${name}\` must be ${allowed}.`)
}
