// Builds the dashboard from dashboard/ into dist/dashboard or a given folder. Used by npm run build, npm start and check.
import { join } from 'node:path';
import { build } from 'vite';
import { root } from './setup.mjs';

const outDir = process.argv[2] ?? join(root, 'dist', 'dashboard');
await build({
  configFile: false,
  root: join(root, 'dashboard'),
  // All files are in one folder, which the gateway serves under /dashboard/.
  base: '/dashboard/',
  logLevel: 'warn',
  build: {
    outDir,
    emptyOutDir: true,
    assetsDir: '.',
    // Files inlined as data URLs would require a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2023',
    reportCompressedSize: false,
  },
});
