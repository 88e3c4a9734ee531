// npm test: install what is missing, then run every test. `npm test -- --unit` runs those under src only; a file
// or pattern named runs that alone; everything else goes to node's test runner as it is.
import { availableParallelism } from 'node:os';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

/** A test that hangs must not hide what the others found: the runner's summary is printed in any case. */
const limitMs = 15 * 60_000;

const isFile = (arg) => arg.endsWith('.test.ts') && !arg.startsWith('-');

const given = process.argv.slice(2).filter((arg) => arg !== '--unit');
const everything = process.argv.includes('--unit') ? ['src/**/*.test.ts'] : ['src/**/*.test.ts', 'test/**/*.test.ts'];
const files = given.filter(isFile);
const args = [
  '--test',
  '--test-reporter=spec',
  `--test-concurrency=${availableParallelism()}`,
  '--test-timeout=180000',
  ...given.filter((arg) => !isFile(arg)),
  ...(files.length > 0 ? files : everything),
];

runAsThis(setUp(), args, { cwd: root, env: childEnv({ NODE_ENV: 'test' }), limitMs });
