import { fileURLToPath } from 'node:url';

/** The file to run: `npm test` bundles the command once, as `npm start` does, and names it here; without it the source runs. */
export const commandFile: string = process.env['TEST_COMMAND'] ?? fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/**
 * The compile cache of the command in tests. The command sets V8 flags, and V8 rejects code that was compiled under other flags; in one folder
 * with the tests each of them would replace what the other one has compiled.
 */
export function commandCache(): string {
  const { NODE_COMPILE_CACHE: cache = '' } = process.env;
  return cache === '' ? '' : `${cache}-command`;
}
