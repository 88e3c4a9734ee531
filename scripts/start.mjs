// npm start: installs dependencies, then runs the gateway from source; without a configured provider it serves a demo.
import { buildDashboardOnce } from './dashboard-once.mjs';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

const args = ['src/cli/main.ts', 'serve', '--demo', ...process.argv.slice(2)];
const node = setUp();
buildDashboardOnce(node);
runAsThis(node, args, { cwd: root, env: childEnv({}, 'compile-command') });
