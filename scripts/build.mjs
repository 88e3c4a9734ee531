// npm run build: builds the published files: JavaScript and declarations from src into dist, the dashboard into
// dist/dashboard.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { childEnv, root, setUp } from './setup.mjs';

const node = setUp();
rmSync(join(root, 'dist'), { recursive: true, force: true });
for (const args of [['scripts/build-dashboard.mjs'], ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']]) {
  const { status } = spawnSync(node, args, { cwd: root, env: childEnv(), stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
