// Writes breakwater.schema.json at the root, from the schema that the gateway itself checks configs with.
import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/gateway/config/json-schema.ts';

const file = new URL('../breakwater.schema.json', import.meta.url);
writeFileSync(file, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
