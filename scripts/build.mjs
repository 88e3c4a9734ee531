// npm run build: builds the published files: JavaScript and declarations from src into dist, the dashboard into
// dist/dashboard.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

const node = setUp();
rmSync(join(root, 'dist'), { recursive: true, force: true });
const page = spawnSync(node, ['scripts/build-dashboard.mjs'], { cwd: root, env: childEnv(), stdio: 'inherit' });
if (page.status !== 0) process.exit(page.status ?? 1);
runAsThis(node, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: root, env: childEnv() });
