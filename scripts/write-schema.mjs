// Writes breakwater.schema.json, from the schema with which the gateway validates configs.
import { writeFileSync } from 'node:fs';
import { configJsonSchema } from '../src/gateway/config/json-schema.ts';

const file = new URL('../breakwater.schema.json', import.meta.url);
writeFileSync(file, `${JSON.stringify(configJsonSchema(), null, 2)}\n`);
