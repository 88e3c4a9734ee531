// Runs a file of this checkout, such as `bench/run.ts`, with the checkout's own Node.
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

runAsThis(setUp(), process.argv.slice(2), { cwd: root, env: childEnv() });
