import { build } from 'esbuild'

/**
 * What a browser loads: a module with all that it imports, minified.
 * @param entry a path from the root of the project, or a package’s name
 */
export async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({
    ...{ entryPoints: [entry], bundle: true, minify: true, write: false, legalComments: 'none' },
    ...{ format: 'esm', target: 'es2022', platform: 'browser', absWorkingDir: `${import.meta.dirname}/..` },
  })
  return outputFiles[0]?.text ?? ''
}
