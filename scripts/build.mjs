// npm run build: the JavaScript and declarations that are published, from src into dist.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

const node = setUp();
rmSync(join(root, 'dist'), { recursive: true, force: true });
runAsThis(node, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: root, env: childEnv() });
