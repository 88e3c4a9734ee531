// npm run build: builds the published files into dist: the dashboard, the declarations of src, and its bundled JavaScript.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { childEnv, root, setUp } from './setup.mjs';

const node = setUp();
rmSync(join(root, 'dist'), { recursive: true, force: true });
const builds = [
  ['scripts/build-dashboard.mjs'],
  ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'],
  ['scripts/bundle.mjs', 'dist/bundle'],
];
for (const args of builds) {
  const { status } = spawnSync(node, args, { cwd: root, env: childEnv(), stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
