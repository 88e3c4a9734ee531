// npm start: installs dependencies, builds, then runs the gateway; without a configured provider it serves a demo.
import { buildDashboardOnce, bundleOnce } from './build-once.mjs';
import { runAsThis } from './run.mjs';
import { childEnv, root, setUp } from './setup.mjs';

const node = setUp();
buildDashboardOnce(node);
const args = [bundleOnce(node), 'serve', '--demo', ...process.argv.slice(2)];
// One arena of glibc's malloc: those of V8's threads would keep some 20 MB after a load.
runAsThis(node, args, { cwd: root, env: { MALLOC_ARENA_MAX: '1', ...childEnv() } });
