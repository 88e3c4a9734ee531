// Writes what follows from the schema with which the gateway validates configs: breakwater.schema.json, docs/configuration.md, and the types of
// configs with its descriptions.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configJsonSchema } from '../src/gateway/config/json-schema.ts';
import { configPage } from './config-page.mjs';
import { configTypes } from './config-types.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

write('breakwater.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
write('docs/configuration.md', configPage());
const types = Object.entries(configTypes()).map(([name, text]) => write(`src/gateway/config/${name}`, text));
execFileSync(process.execPath, ['node_modules/oxfmt/bin/oxfmt', ...types], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });

function write(path, text) {
  writeFileSync(new URL(path, new URL('..', import.meta.url)), text);
  return path;
}
