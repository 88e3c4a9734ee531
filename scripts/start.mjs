// npm start: installs dependencies, builds, then runs the gateway; without a configured provider it serves a demo.
import { buildDashboardOnce, bundleOnce } from './build-once.mjs';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

const node = setUp();
buildDashboardOnce(node);
const args = [bundleOnce(node), 'serve', '--demo', ...process.argv.slice(2)];
runAsThis(node, args, { cwd: root, env: childEnv() });
