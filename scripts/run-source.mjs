// Runs a file of this checkout, say `bench/run.ts`, with the Node that the checkout brings.
import { runBeside } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

runBeside(setUp(), process.argv.slice(2), { cwd: root, env: childEnv() });
