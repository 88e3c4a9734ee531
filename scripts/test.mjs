// npm test: install what is missing, then run every test. `npm test -- --unit` runs those under src only; a file
// or pattern named runs that alone; everything else goes to node's test runner as it is.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { childEnv, root, setUp } from './setup.mjs';

const isFile = (arg) => /\.test\.ts$/.test(arg) && !arg.startsWith('-');

const given = process.argv.slice(2).filter((arg) => arg !== '--unit');
const everything = process.argv.includes('--unit')
  ? ['src/**/*.test.ts']
  : ['src/**/*.test.ts', 'test/**/*.test.ts'];
const files = given.filter(isFile);
const args = [
  '--test',
  '--test-reporter=spec',
  `--test-concurrency=${availableParallelism()}`,
  '--test-timeout=300000',
  ...given.filter((arg) => !isFile(arg)),
  ...(files.length > 0 ? files : everything),
];

// The test runner takes a signal once or twice alike: the terminal may reach it directly.
const child = spawn(setUp(), args, {
  cwd: root,
  env: childEnv({ NODE_ENV: 'test' }),
  stdio: 'inherit',
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 130 : 1)));
