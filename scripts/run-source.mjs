// Runs a file of this checkout, say `bench/run.ts`, with the Node that the checkout brings.
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

runAsThis(setUp(), process.argv.slice(2), { cwd: root, env: childEnv() });
