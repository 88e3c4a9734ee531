// npm start: install what is missing, then run the gateway from source; it serves a demo if nothing is configured.
import { buildDashboardOnce } from './dashboard-once.mjs';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

const args = ['src/cli/main.ts', 'serve', '--demo', ...process.argv.slice(2)];
const node = setUp();
buildDashboardOnce(node);
runAsThis(node, args, { cwd: root, env: childEnv() });
