// npm run check: format, lint, types, dashboard types, tidy, unused code, package surface. Every step runs; the summary
// lists the failed ones. `npm run check -- lint types` runs only those.
import { spawnSync } from 'node:child_process';
import { childEnv, root, setUp } from './setup.mjs';

const steps = {
  format: ['node_modules/oxfmt/bin/oxfmt', '--check'],
  lint: ['node_modules/oxlint/bin/oxlint', '--type-aware'],
  types: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.'],
  dashboard: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'dashboard'],
  tidy: ['--test', '--test-reporter=spec', 'test/tidy.test.ts'],
  unused: ['node_modules/knip/bin/knip.js', '--no-progress', '--no-config-hints'],
  package: ['scripts/check-package.mjs'],
};

const node = setUp();
const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in steps));
if (unknown.length > 0) {
  process.stderr.write(`check: unknown step ${unknown.join(', ')}; steps are ${Object.keys(steps).join(', ')}\n`);
  process.exit(2);
}

const failed = [];
for (const [name, args] of Object.entries(steps)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue;
  const startedAt = performance.now();
  const result = spawnSync(node, args, { cwd: root, env: childEnv(), encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  const isGood = result.status === 0;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  process.stdout.write(`${isGood ? 'ok    ' : 'FAILED'} ${name} (${seconds} s)\n`);
  if (isGood) continue;
  failed.push(name);
  process.stdout.write(`${result.stdout}${result.stderr}\n`);
}
process.stdout.write(failed.length > 0 ? `\ncheck failed: ${failed.join(', ')}\n` : '\ncheck passed\n');
process.exit(failed.length > 0 ? 1 : 0);
