// Builds the dashboard, from dashboard/ into dist/dashboard or the folder named. Used by npm run build, npm start and check.
import { join } from 'node:path';
import { build } from 'vite';
import { root } from './setup.mjs';

const outDir = process.argv[2] ?? join(root, 'dist', 'dashboard');
await build({
  configFile: false,
  root: join(root, 'dashboard'),
  // Files lie beside each other: the gateway serves them under /dashboard/, and no other folder.
  base: '/dashboard/',
  logLevel: 'warn',
  build: {
    outDir,
    emptyOutDir: true,
    assetsDir: '.',
    // A file inlined as a data URL would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2023',
    reportCompressedSize: false,
  },
});
