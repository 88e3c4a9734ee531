// Writes breakwater.schema.json and docs/configuration.md, from the schema with which the gateway validates configs.
import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/gateway/config/json-schema.ts';
import { configPage } from './config-page.mjs';

write('breakwater.schema.json', `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
write('docs/configuration.md', configPage());

function write(path, text) {
  writeFileSync(new URL(`../${path}`, import.meta.url), text);
}
